import type { StoreSettings, Scheme } from '../settings/schema.ts';
import { withLimits, type Limits } from './limits.ts';
import { withRetry } from './retry.ts';
import type { Storage } from './storage.ts';

/**
 * The storage of an archive, or of base backups: its backend, inside limits on time, inside retries. Nothing is asked of
 * the store yet. Errors: StorageError `configuration`.
 */
export async function connect(store: StoreSettings): Promise<Storage> {
  return withRetry(withLimits(await openBackend(store), LIMITS[store.scheme]));
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

/** Each backend is loaded only when it is used. */
async function openBackend(store: StoreSettings): Promise<Storage> {
  switch (store.scheme) {
    case 'file': {
      const { FileStorage } = await import('./file/storage.ts');
      return new FileStorage(store.url, { mounted: store.mounted ?? false });
    }
    case 's3': {
      const { openS3 } = await import('./s3/storage.ts');
      return openS3(store, process.env);
    }
    case 'azure': {
      const { openAzure } = await import('./azure/storage.ts');
      return openAzure(store, process.env);
    }
    case 'gs': {
      const { openGs } = await import('./gs/storage.ts');
      return openGs(store, process.env);
    }
  }
}
