import type { ArchiveSettings } from '../settings/schema.ts';
import { StorageError } from './errors.ts';
import { withLimits } from './limits.ts';
import { withRetry } from './retry.ts';
import type { Storage } from './storage.ts';

/**
 * The storage of an archive: its backend, inside limits on time, inside retries. Nothing is asked of the store yet.
 * Errors: StorageError `configuration`.
 */
export async function connect(archive: ArchiveSettings): Promise<Storage> {
  // No limit on single attempts: a call into a hung file server goes on when the server does, and making it once
  // more only takes another of the runtime's few threads for system calls.
  return withRetry(withLimits(await openBackend(archive)));
}

/** Each backend is loaded only when an archive uses it. */
async function openBackend(archive: ArchiveSettings): Promise<Storage> {
  switch (archive.scheme) {
    case 'file': {
      const { FileStorage } = await import('./file/storage.ts');
      return new FileStorage(archive.url, { mounted: archive.mounted ?? false });
    }
    case 's3':
    case 'gs':
    case 'azure':
      throw new StorageError('configuration', `this version stores nothing in ${archive.scheme}://`, {
        hint: 'It knows archives in directories alone, file:///directory: a local disk, or one that is mounted.',
      });
  }
}
