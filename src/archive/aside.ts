import type { TrustedKeys } from '../seal/keys.ts';
import type { Deadline } from '../storage/deadline.ts';
import { StorageError } from '../storage/errors.ts';
import { asideKey } from '../wal/keys.ts';
import { asFailure, type Archive } from './archives.ts';
import { compareHeld, type Content } from './compare.ts';

/** Whether the archive keeps exactly this content under aside/. Errors: what the store's errors mean. */
export async function isAside(
  archive: Archive,
  content: Content,
  trusted: TrustedKeys | undefined,
  deadline: Deadline,
): Promise<boolean> {
  return holds(archive, asideKey(content.systemId, content.name, content.fingerprint), content, trusted, deadline);
}

/** Whether the archive holds exactly this content under `key`. Errors: what the store's errors mean. */
export async function holds(
  archive: Archive,
  key: string,
  content: Content,
  trusted: TrustedKeys | undefined,
  deadline: Deadline,
): Promise<boolean> {
  try {
    return (await compareHeld(archive, key, content, trusted, deadline)).is === 'identical';
  } catch (error) {
    if (error instanceof StorageError && error.kind === 'absent') return false;
    throw asFailure(error, archive.storage.url);
  }
}
