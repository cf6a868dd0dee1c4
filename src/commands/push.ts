import { holds } from '../archive/aside.ts';
import { openArchives, type Archive } from '../archive/archives.ts';
import { readWalFile, type WalFile } from '../archive/check.ts';
import type { Content } from '../archive/compare.ts';
import { endedTimeline, type EndedTimeline } from '../archive/ended.ts';
import { loadPushKeys, type PushKeys } from '../archive/keyring.ts';
import { place, type PlaceOptions } from '../archive/place.ts';
import { conclude, forEachArchive, storeEverywhere, unlessAside, type Result } from '../archive/store.ts';
import { Failure, type Outcome } from '../exit.ts';
import { seal, type Sealed } from '../seal/seal.ts';
import { readHistories } from '../server/data-directory.ts';
import { openCluster, type Cluster } from '../server/cluster.ts';
import { postmasterIsStopping } from '../server/postmaster.ts';
import { loadSettings, pushArchives } from '../settings/load.ts';
import type { Settings } from '../settings/schema.ts';
import { Deadline } from '../storage/deadline.ts';
import { StorageError } from '../storage/errors.ts';
import { asideKey, objectKey } from '../wal/keys.ts';
import { formatLsn } from '../wal/lsn.ts';
import { ahead } from './ahead.ts';
import type { Io } from './io.ts';

export interface PushOptions {
  readonly config?: string;
  /** Where they are being loaded already; `config` does not count then. */
  readonly settings?: Promise<Settings>;
  readonly pgdata?: string;
}

const MIB = 1024 * 1024;
/** Up to this size the plain deadline holds; above it each further MiB brings a second. */
const PLAIN_DEADLINE_BYTES = 64 * MIB;
/** A fast stop waits for about six attempts of the archiver, so each must end soon. */
const STOPPING_DEADLINE_MS = 5_000;
const STOPPING_CHECK_MS = 1_000;

/**
 * archive_command: stores the WAL file at `path` in every archive that is pushed to, sealed, once, verified.
 * 'done' means that PostgreSQL may delete its copy. Everything else is thrown as a Failure.
 */
export async function push(path: string, options: PushOptions, io: Io): Promise<Outcome> {
  const openingCluster = ahead(openCluster({ ...options, walPath: path }, process.cwd()));
  const settings = await (options.settings ?? loadSettings(options.config, process.env));
  const loadingKeys = ahead(loadPushKeys(settings));
  const cluster = await openingCluster;
  const file = await readWalFile(path, cluster.systemId);
  const archives = await openArchives(pushArchives(settings));
  const deadline = pushDeadline(settings, file, io);
  const hurry = hurryWhenStopping(deadline, cluster.dataDirectory);
  try {
    const work = await prepare(file, cluster, settings, await loadingKeys, deadline);
    const ended = await leftBehind(file, cluster);
    const results = ended ? await pushStale(work, archives, ended, io) : await pushCurrent(work, archives);
    for (const failure of conclude(results)) io.warn(`${failure.message} (not required: the file counts as archived)`);
    const aside = results.filter((result) => result.is === 'aside');
    if (aside.length > 0 && !ended)
      io.warn(`${file.name.name} was set aside: ${aside.map(({ archive }) => archive.storage.url).join(', ')}`);
    if (cluster.warning !== undefined) io.warn(cluster.warning);
    if (file.warning !== undefined) io.warn(`${file.name.name}: ${file.warning}`);
    return 'done';
  } finally {
    clearInterval(hurry);
    deadline.close();
    for (const archive of archives) archive.storage.close();
  }
}

/** A checked and sealed file, with all that storing it needs. */
interface Work {
  readonly file: WalFile;
  readonly content: Content;
  readonly sealed: Sealed;
  readonly place: PlaceOptions;
}

async function prepare(
  file: WalFile,
  cluster: Cluster,
  settings: Settings,
  { trusted, unsignable, ...keys }: PushKeys,
  deadline: Deadline,
): Promise<Work> {
  const { systemId, nonce } = cluster;
  const { path, name, length, modified } = file;
  const sealing = seal({ path, length, name, systemId, nonce, level: settings.compression.level }, keys);
  const sealed = await withinTime(deadline, sealing);
  const content = { name, systemId, fingerprint: sealed.fingerprint, length, modified };
  return {
    file,
    content,
    sealed,
    place: { verify: settings.verify, trusted, deadline, ...(unsignable && { unsignable }) },
  };
}

/** Waits for the sealing as long as there is time. Errors: Failure `unreachable`, which has the server try again. */
async function withinTime<T>(deadline: Deadline, sealing: Promise<T>): Promise<T> {
  try {
    return await deadline.race(sealing);
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    throw new Failure('unreachable', `${error.message}: compressing and encrypting took all of it`, {
      hint: 'A lower level in [compression] is faster; a longer deadline lets this one through.',
      cause: error,
    });
  }
}

/** The usual case: under its own name, unless the file is not what it claims to be. */
async function pushCurrent(
  { file, content, sealed, place: options }: Work,
  archives: readonly Archive[],
): Promise<Result[]> {
  if (file.problem === undefined) {
    return storeEverywhere(archives, objectKey(content.systemId, content.name), content, sealed, options);
  }
  const refusal = invalid(file, file.problem);
  return forEachArchive(archives, options.deadline, (archive) => unlessAside(archive, content, options, refusal));
}

/**
 * The segment's timeline has ended in this server's own history: unless the archive holds exactly this content
 * already, the copy is stale, must not take the name, and goes aside so that archiving goes on.
 */
async function pushStale(work: Work, archives: readonly Archive[], ended: EndedTimeline, io: Io): Promise<Result[]> {
  const { file, content, sealed, place: options } = work;
  const plain = objectKey(content.systemId, content.name);
  const aside = asideKey(content.systemId, content.name, content.fingerprint);
  const results = await forEachArchive(archives, options.deadline, async (archive) => {
    if (file.problem === undefined && (await holds(archive, plain, content, options.trusted, options.deadline)))
      return 'identical';
    await place(archive, aside, content, sealed, options);
    return 'aside';
  });
  if (results.some((result) => result.is === 'aside')) {
    const why = file.problem ?? 'the archive does not hold this content under that name';
    io.warn(
      `${file.name.name} went aside: timeline ${file.name.timeline} ended at ${formatLsn(ended.end)} (${ended.historyFile}), and ${why}`,
    );
  }
  return results;
}

async function leftBehind(file: WalFile, cluster: Cluster): Promise<EndedTimeline | undefined> {
  if (file.name.kind !== 'segment') return undefined;
  return endedTimeline(file.name, file.length, await readHistories(cluster.dataDirectory), cluster.segmentSize);
}

function invalid(file: WalFile, problem: string): Failure {
  return new Failure('invalid', `${file.path}: ${problem}`, {
    hint:
      'Nothing was stored. If the server made this file and it is known not to be needed, ' +
      `"walseal set-aside ${file.path}" keeps a copy under aside/ and lets archiving go on.`,
  });
}

/** The whole push ends within this. */
function pushDeadline(settings: Settings, file: WalFile, io: Io): Deadline {
  const extraMs = Math.ceil(Math.max(0, file.length - PLAIN_DEADLINE_BYTES) / MIB) * 1_000;
  const deadline = new Deadline(settings.deadlineMs + extraMs, { what: `push of ${file.name.name}` });
  io.endsWithin(deadline.remainingMs());
  return deadline;
}

/** Leaves the push little time once the postmaster waits for the archiver to finish. Returns the timer. */
function hurryWhenStopping(deadline: Deadline, dataDirectory: string): NodeJS.Timeout {
  const look = (): void => {
    if (postmasterIsStopping(dataDirectory)) deadline.shorten(STOPPING_DEADLINE_MS);
  };
  look();
  return setInterval(look, STOPPING_CHECK_MS).unref();
}
