import { Failure } from '../exit.ts';
import type { OpenKeys } from '../seal/keys.ts';
import { unseal } from '../seal/unseal.ts';
import type { Settings } from '../settings/schema.ts';
import { seconds, type Deadline } from '../storage/deadline.ts';
import { StorageError } from '../storage/errors.ts';
import type { SystemId } from '../wal/control.ts';
import { objectKey } from '../wal/keys.ts';
import type { WalName } from '../wal/name.ts';
import { asFailure, type Archive } from './archives.ts';
import { readObject } from './read.ts';

/** Where fetched bytes go until all of them are proven. */
export interface Landing {
  /** Forgets what was written so far: the object is read again, or the next archive's. */
  restart(): Promise<void>;
  /** Resolves when they are written; until then they stay as they are. */
  write(bytes: Uint8Array): Promise<void>;
}

export interface Wanted {
  readonly name: WalName;
  readonly systemId: SystemId;
}

/** One archive's answer that is neither the file nor 'absent'. */
export interface ArchiveFailure {
  readonly archive: Archive;
  readonly failure: Failure;
}

/** `failures` are the archives, in order, that could not say whether, or not what. */
export interface Fetched {
  readonly found: Archive | undefined;
  readonly failures: readonly ArchiveFailure[];
}

/**
 * Asks the archives in order for the file and writes the first right one to `landing`. An archive that fails, or
 * whose object is corrupt or untrusted, is passed over and reported. Nothing found and no failure means that each
 * archive itself said 'no such object'. Throws only what `landing` throws.
 * @param silenceMs how long nothing may arrive, where the deadline has such a limit
 */
export async function fetchFirst(
  archives: readonly Archive[],
  wanted: Wanted,
  keys: Promise<OpenKeys>,
  landing: Landing,
  deadline: Deadline,
  silenceMs = Infinity,
): Promise<Fetched> {
  const failures: ArchiveFailure[] = [];
  for (const [index, archive] of archives.entries()) {
    const others = archives.length - 1 - index;
    try {
      const found = await inItsTurn(others, silenceMs, deadline, (turn) =>
        fetchFrom(archive, wanted, keys, landing, turn),
      );
      if (found) return { found: archive, failures };
    } catch (error) {
      const failure = withWayOut(asFailure(error, archive.storage.url), archives.length);
      if (failure.kind === 'unwritable') throw failure;
      failures.push({ archive, failure });
    }
  }
  return { found: undefined, failures };
}

/** The first archive that did not say 'absent' decides, and the message tells how to leave it out. */
export function unanswered(name: WalName, failure: Failure, settings: Settings): Failure {
  if (settings.archives.length === 1 || failure.kind !== 'unreachable') return failure;
  const hint = 'To recover without this archive, remove its [[archive]] block from the settings of this server.';
  return new Failure(failure.kind, `${name.name} is not proven absent: ${failure.message}`, {
    hint: [failure.hint, hint].filter(Boolean).join(' '),
    cause: failure,
  });
}

/**
 * Asks one archive. One that is silent must not use up the time of the others: it has an equal part of what is left,
 * anew from each byte on that arrives.
 */
async function inItsTurn<T>(
  others: number,
  silenceMs: number,
  deadline: Deadline,
  ask: (turn: Deadline) => Promise<T>,
): Promise<T> {
  if (others === 0) return ask(deadline);
  const partMs = Math.min(deadline.remainingMs(), silenceMs) / (others + 1);
  const turn = deadline.child(() => timer.refresh());
  const timer = setTimeout(() => {
    const fact = `no answer within its part of the time, ${seconds(partMs)}`;
    turn.expire(new StorageError('unreachable', fact, { retryable: false }));
  }, partMs);
  try {
    return await ask(turn);
  } finally {
    clearTimeout(timer);
    turn.close();
  }
}

/** Damage has a way out that neither the store nor the object knows of: the same file from elsewhere. */
function withWayOut(failure: Failure, archives: number): Failure {
  if (failure.kind !== 'invalid' || failure.hint !== '') return failure;
  const others = archives === 1 ? 'No other archive is in the settings' : 'The other archives were asked, too';
  const hint = `The object in this archive is damaged: bring it back from another archive or from a copy of this one. ${others}.`;
  return new Failure(failure.kind, failure.message, { hint, cause: failure });
}

/** The keys, when something can be written. With bad ones nothing is. */
async function begin(keys: Promise<OpenKeys>, landing: Landing, deadline: Deadline): Promise<OpenKeys> {
  const opened = await keys;
  await deadline.race(landing.restart());
  return opened;
}

/** Whether the archive had it; false only on the store's own word. */
async function fetchFrom(
  archive: Archive,
  wanted: Wanted,
  keys: Promise<OpenKeys>,
  landing: Landing,
  deadline: Deadline,
): Promise<boolean> {
  try {
    await readObject(archive.storage, objectKey(wanted.systemId, wanted.name), deadline, async (object) => {
      // A disk that hangs is held against the same deadline.
      const begun = begin(keys, landing, deadline);
      await unseal(object.bytes, wanted, begun, (bytes) => deadline.race(landing.write(bytes)));
    });
    return true;
  } catch (error) {
    if (error instanceof StorageError && error.kind === 'absent') return false;
    if (error instanceof Failure && error.kind !== 'unwritable') {
      throw new Failure(error.kind, `archive ${archive.storage.url}: ${wanted.name.name}: ${error.message}`, {
        hint: error.hint,
        cause: error,
      });
    }
    throw error;
  }
}
