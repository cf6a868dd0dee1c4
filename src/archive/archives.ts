import { Failure, type FailureKind } from '../exit.ts';
import type { ArchiveSettings } from '../settings/schema.ts';
import { connect } from '../storage/connect.ts';
import { StorageError, type StorageErrorKind } from '../storage/errors.ts';
import type { Storage } from '../storage/storage.ts';

/** One place that WAL is pushed to or fetched from: its settings, and the way to it. */
export interface Archive {
  readonly settings: ArchiveSettings;
  readonly storage: Storage;
}

/** Connects to each archive, in the order of the settings. No request is made yet. Errors: Failure `usage`. */
export async function openArchives(settings: readonly ArchiveSettings[]): Promise<Archive[]> {
  const open = async (one: ArchiveSettings): Promise<Archive> => {
    try {
      return { settings: one, storage: await connect(one) };
    } catch (error) {
      throw asFailure(error, one.url);
    }
  };
  return Promise.all(settings.map(open));
}

const KIND_OF: Readonly<Record<StorageErrorKind, FailureKind>> = {
  /** An absence that matters is caught where it is asked for; elsewhere the object went away under our hands. */
  absent: 'unreachable',
  exists: 'different',
  denied: 'denied',
  unreachable: 'unreachable',
  throttled: 'unreachable',
  corrupt: 'invalid',
  full: 'unwritable',
  configuration: 'usage',
};

/**
 * What a store's error means for the exit status, said with the archive's name, or that of what else lies there. Bugs
 * pass through as they are.
 */
export function asFailure(error: unknown, url: string, what: 'archive' | 'base backups in' = 'archive'): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof StorageError) {
    return new Failure(KIND_OF[error.kind], `${what} ${url}: ${error.message}`, { hint: error.hint, cause: error });
  }
  throw error;
}
