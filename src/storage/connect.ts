import type { ArchiveSettings, Scheme } from '../settings/schema.ts';
import { withLimits, type Limits } from './limits.ts';
import { withRetry } from './retry.ts';
import type { Storage } from './storage.ts';

/**
 * The storage of an archive: its backend, inside limits on time, inside retries. Nothing is asked of the store yet.
 * Errors: StorageError `configuration`.
 */
export async function connect(archive: ArchiveSettings): Promise<Storage> {
  return withRetry(withLimits(await openBackend(archive), LIMITS[archive.scheme]));
}

/** A request that is silent for so long is given up: over a new connection it may get through. */
const OVER_NETWORK: Limits = { attemptMs: 10_000 };

const LIMITS: Readonly<Record<Scheme, Limits>> = {
  // None on single attempts: a call into a hung file server goes on when the server does, and making it once more only
  // takes another of the runtime's few threads for system calls.
  file: {},
  s3: OVER_NETWORK,
  gs: OVER_NETWORK,
  azure: OVER_NETWORK,
};

/** Each backend is loaded only when an archive uses it. */
async function openBackend(archive: ArchiveSettings): Promise<Storage> {
  switch (archive.scheme) {
    case 'file': {
      const { FileStorage } = await import('./file/storage.ts');
      return new FileStorage(archive.url, { mounted: archive.mounted ?? false });
    }
    case 's3': {
      const { openS3 } = await import('./s3/storage.ts');
      return openS3(archive);
    }
    case 'azure': {
      const { AzureStorage } = await import('./azure/storage.ts');
      return AzureStorage.open(archive, process.env);
    }
    case 'gs': {
      const { GsStorage } = await import('./gs/storage.ts');
      return GsStorage.open({ ...archive, env: process.env });
    }
  }
}
