import type { Deadline } from '../storage/deadline.ts';
import { retrying } from '../storage/retry.ts';
import type { Storage, StoredObject } from '../storage/storage.ts';

/**
 * Gets the object and hands it to `consume`; where the transfer breaks off in the middle, both start again.
 * So `consume` must be able to begin anew. Errors: those of `Storage.get`, and what `consume` throws.
 */
export async function readObject<T>(
  storage: Storage,
  key: string,
  deadline: Deadline,
  consume: (object: StoredObject) => Promise<T>,
): Promise<T> {
  return retrying(async () => consume(await storage.get(key, deadline)), deadline);
}
