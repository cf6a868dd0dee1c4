import { Failure } from '../exit.ts';
import type { Sealed } from '../seal/seal.ts';
import type { Deadline } from '../storage/deadline.ts';
import type { Archive } from './archives.ts';
import { readObject } from './read.ts';

/**
 * Whether the archive holds exactly what this upload sent. With `checksum` the size and digest that the store
 * computed decide; where it computes none, and with `readback`, the object itself is read. `readback` also opens
 * it with the file key that is still in memory. Errors: StorageError, Failure `damaged`.
 */
export async function isStored(
  archive: Archive,
  key: string,
  sealed: Sealed,
  mode: 'checksum' | 'readback',
  deadline: Deadline,
): Promise<boolean> {
  const { body } = sealed;
  if (mode === 'readback') return opensAsSent(archive, key, sealed, deadline);
  const info = await archive.storage.head(key, deadline);
  if (info.size !== body.length) return false;
  if (info.digest !== undefined) {
    const sent = await body.digest(info.digest.algorithm);
    return Buffer.compare(sent, info.digest.value) === 0;
  }
  return isAsSent(archive, key, sealed, deadline);
}

/** Whether the object's bytes are those that were sent. */
async function isAsSent(archive: Archive, key: string, sealed: Sealed, deadline: Deadline): Promise<boolean> {
  return readObject(archive.storage, key, deadline, (object) => sealed.isCopy(object.bytes));
}

/**
 * Opens what the archive holds. What does not open is damage only if it is byte for byte what was sent: else a racing
 * writer may have left his own object, which is for the caller to judge.
 */
async function opensAsSent(archive: Archive, key: string, sealed: Sealed, deadline: Deadline): Promise<boolean> {
  try {
    return await readObject(archive.storage, key, deadline, async (object) => {
      if (object.info.size !== sealed.body.length) return false;
      await sealed.verifyCopy(object.bytes);
      return true;
    });
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== 'damaged') throw error;
    if (await isAsSent(archive, key, sealed, deadline)) throw damaged(archive, key, error.message);
    return false;
  }
}

/** What lies in the archive where our upload should be is not it, and not whole. */
export function damaged(archive: Archive, key: string, reason: string): Failure {
  return new Failure('damaged', `archive ${archive.storage.url} holds a corrupt object ${key}: ${reason}`, {
    hint: 'Look at the store before anything else. When the object is known to be worthless, remove it by hand, and the next attempt stores the file.',
  });
}
