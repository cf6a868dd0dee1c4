import { openArchives } from '../archive/archives.ts';
import { readWalFile } from '../archive/check.ts';
import { loadPushKeys } from '../archive/keyring.ts';
import { pushDeadline, pushFile } from '../archive/push.ts';
import type { Outcome } from '../exit.ts';
import { openCluster } from '../server/cluster.ts';
import { readHistories } from '../server/data-directory.ts';
import { postmasterIsStopping } from '../server/postmaster.ts';
import { loadSettings, pushArchives } from '../settings/load.ts';
import type { Settings } from '../settings/schema.ts';
import type { Deadline } from '../storage/deadline.ts';
import { ahead } from './ahead.ts';
import type { Io } from './io.ts';

export interface PushOptions {
  readonly config?: string;
  /** Where they are being loaded already; `config` does not count then. */
  readonly settings?: Promise<Settings>;
  readonly pgdata?: string;
}

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
  const deadline = pushDeadline(settings, file);
  io.endsWithin(deadline.remainingMs());
  const hurry = hurryWhenStopping(deadline, cluster.dataDirectory);
  try {
    const histories = () => readHistories(cluster.dataDirectory);
    const context = { cluster, settings, keys: await loadingKeys, archives, histories };
    await pushFile(file, context, deadline, (line) => {
      io.warn(line);
    });
    return 'done';
  } finally {
    clearInterval(hurry);
    deadline.close();
    for (const archive of archives) archive.storage.close();
  }
}

/** Leaves the push little time once the postmaster waits for the archiver to finish. Returns the timer. */
function hurryWhenStopping(deadline: Deadline, dataDirectory: string): NodeJS.Timeout {
  const look = (): void => {
    if (postmasterIsStopping(dataDirectory)) deadline.shorten(STOPPING_DEADLINE_MS);
  };
  look();
  return setInterval(look, STOPPING_CHECK_MS).unref();
}
