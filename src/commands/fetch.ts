import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { findFork, findLater, gapFailure, proveSomethingThere, type Gap } from '../archive/absence.ts';
import { openArchives, type Archive } from '../archive/archives.ts';
import { fetchFirst, unanswered, type Wanted } from '../archive/fetch.ts';
import { loadOpenKeys } from '../archive/keyring.ts';
import { onlySystem, requireSystemId } from '../archive/systems.ts';
import { Failure, type Outcome } from '../exit.ts';
import { openCluster, type Cluster } from '../server/cluster.ts';
import { locateDataDirectory, readHistories } from '../server/data-directory.ts';
import { LandingFile } from '../server/landing-file.ts';
import { lookInPgWal } from '../server/pg-wal.ts';
import { failureColumn, silenceLimit } from '../server/signals.ts';
import { loadSettings } from '../settings/load.ts';
import type { Settings } from '../settings/schema.ts';
import { Deadline } from '../storage/deadline.ts';
import { parseWalName } from '../wal/name.ts';
import { ahead } from './ahead.ts';
import type { Io } from './io.ts';

export interface FetchOptions {
  readonly config?: string;
  /** Where they are being loaded already; `config` does not count then. */
  readonly settings?: Promise<Settings>;
  readonly pgdata?: string;
  readonly systemId?: string;
}

/** A gap may be an upload that is under way: it is looked at this often again, this far apart. */
const GAP_CHECKS = 3;
const GAP_CHECK_INTERVAL_MS = 3_300;

/**
 * restore_command: brings the WAL file `nameText` to `path`. 'done' means that the right file, whole, lies there;
 * 'absent' that every archive proved that there is no such file. Everything else is thrown as a Failure, and then
 * nothing lies at `path`.
 */
export async function fetch(nameText: string, path: string, options: FetchOptions, io: Io): Promise<Outcome> {
  const name = parseWalName(nameText);
  if (name === undefined) throw new Failure('usage', `"${nameText}" is not the name of a WAL file`, { hint: USAGE });
  const settings = await (options.settings ?? loadSettings(options.config, process.env));
  io.onPromote(settings.fetch.onPromote);
  const silenceMs = silenceLimit('.', settings);
  const deadline = new Deadline(settings.fetch.deadlineMs, { what: `fetch of ${name.name}`, idleMs: silenceMs });
  io.endsWithin(deadline.remainingMs());
  const keys = ahead(loadOpenKeys(settings));
  const archives = await openArchives(settings.archives);
  try {
    const choosing = ahead(chooseCluster({ ...options, walPath: path }, archives, deadline));
    // Whether the keys are good is not waited for here, nor is anything else where they are bad.
    const cluster = await Promise.race([choosing, keys.then(() => choosing)]);
    const search = { wanted: { name, systemId: cluster.systemId }, archives, settings, cluster, deadline };
    const landing = new LandingFile(path);
    io.onAbandon(() => landing.discard());
    try {
      for (let checks = 0; ; checks += 1) {
        const asking = fetchFirst(archives, search.wanted, keys, landing, deadline, silenceMs);
        const [{ found, failures }] = await Promise.all([asking, keys]);
        if (found !== undefined) {
          for (const { failure } of failures) io.warn(`${failure.message}; taken from archive ${found.storage.url}`);
          await landing.commit(() => io.stillWanted());
          return 'done';
        }
        const [first, ...others] = failures;
        if (first !== undefined) {
          for (const { failure } of others) io.warn(failure.message);
          throw unanswered(name, first.failure, settings);
        }
        const gap = await provenAbsent(search, io);
        if (gap === undefined) return 'absent';
        if (checks === GAP_CHECKS || deadline.remainingMs() <= GAP_CHECK_INTERVAL_MS) throw gap;
        await deadline.wait(GAP_CHECK_INTERVAL_MS);
      }
    } finally {
      landing.discard();
    }
  } finally {
    deadline.close();
    for (const archive of archives) archive.storage.close();
  }
}

const USAGE = 'restore_command = \'wal-fetch "%f" "%p"\' passes the name first and the path last.';

/** The cluster whose file is wanted; more than its identifier is known where its data directory is at hand. */
type Target = Pick<Cluster, 'dataDirectory' | 'systemId' | 'segmentSize'>;

/** Which cluster: as named, else the data directory's, else the only one in the archives. */
async function chooseCluster(
  options: FetchOptions & { readonly walPath: string },
  archives: readonly Archive[],
  deadline: Deadline,
): Promise<Target> {
  const dataDirectory = locateDataDirectory(options, process.cwd());
  const named = options.systemId === undefined ? undefined : requireSystemId(options.systemId);
  const isDataDirectory = options.pgdata !== undefined || existsSync(join(dataDirectory, 'global', 'pg_control'));
  if (isDataDirectory && named === undefined) return openCluster(options, process.cwd());
  return { dataDirectory, systemId: named ?? (await onlySystem(archives, deadline)) };
}

/** What was looked for, and where. */
interface Search {
  readonly wanted: Wanted;
  readonly archives: readonly Archive[];
  readonly settings: Settings;
  readonly cluster: Target;
  readonly deadline: Deadline;
}

/**
 * Each archive has said 'no such object'. On a standby that is enough: the server asks again. A recovery would end
 * here and open the database, so the other proofs are made. Returns the gap that contradicts, if any.
 */
async function provenAbsent(search: Search, io: Io): Promise<Failure | undefined> {
  const { wanted, archives, settings, cluster, deadline } = search;
  if (failureColumn('.', settings.fetch.onPromote) === 'standby') return undefined;
  if (!settings.fetch.allowEmpty) await proveSomethingThere(archives, wanted.systemId, deadline);
  const gap = (await findLater(archives, wanted, deadline)) ?? (await findForkAhead(wanted, cluster));
  if (gap === undefined) return undefined;
  const inPgWal = await lookInPgWal(cluster.dataDirectory, wanted.name, wanted.systemId);
  if (inPgWal === 'whole') {
    io.warn(`${wanted.name.name} is in no archive, but ${gap.evidence}; the server has the file in pg_wal`);
    return undefined;
  }
  const failure = gapFailure(wanted.name, gap, inPgWal);
  if (settings.fetch.onGap === 'stop') return failure;
  io.warn(`${failure.message}; on_gap = "end" accepts the loss`);
  return undefined;
}

async function findForkAhead(wanted: Wanted, { dataDirectory, segmentSize }: Target): Promise<Gap | undefined> {
  if (segmentSize === undefined || wanted.name.kind !== 'segment') return undefined;
  return findFork(wanted, segmentSize, await readHistories(dataDirectory));
}
