import type { Deadline } from '../storage/deadline.ts';
import type { Storage } from '../storage/storage.ts';
import { WalFormatError } from '../wal/error.ts';
import { BackupFiles } from './backup-files.ts';
import type { BaseBackup } from './base-backup.ts';
import { readBackup } from './read-backup.ts';
import { MAX_DEPTH, Survey, type ManifestFound, type Stray } from './survey.ts';

/** What lies in a location of base backups. */
export interface Catalogue {
  /** Each whose manifest is right, restorable by its files or not: see `problems`. By path. */
  readonly backups: readonly BaseBackup[];
  /** All else, by path. */
  readonly others: readonly Other[];
  /** As `listManifests` gives them. */
  readonly manifests: readonly string[];
}

/** Something in a location that is no backup to count on. */
export interface Other {
  /** As messages show it. */
  readonly path: string;
  /**
   * `unfinished`: a backup is being taken there, or was broken off, or has no manifest. `unreadable`: its manifest can't
   * be taken for true, so nothing is known of what it needs. `foreign`: none of pg_basebackup's files.
   */
  readonly kind: 'unfinished' | 'unreadable' | 'foreign';
  /** A clause. */
  readonly reason: string;
}

export interface CatalogueOptions {
  /**
   * Whether the names of the segments in a backup's pg_wal.tar are of interest: the whole tar is read for them. Without
   * an answer they are. (Those of a data directory are known from the listing.)
   */
  readonly wantsOwnWal?: (backup: BaseBackup) => boolean;
}

/** Manifests that are read at the same time. A large one is read alone, as all of its files are kept in mind. */
const TOGETHER = 4;
const LARGE_BYTES = 16 * 1024 * 1024;

/**
 * Reads all base backups in a location: directories, at any depth up to eight, with a backup_manifest in them. Names
 * say nothing. Whatever is there is either a backup or one of `others`.
 * Errors: StorageError where the store fails or a listing is not whole, Failure `usage` where there is too much: then
 * nothing is known.
 */
export async function readCatalogue(
  storage: Storage,
  deadline: Deadline,
  { wantsOwnWal = () => true }: CatalogueOptions = {},
): Promise<Catalogue> {
  const survey = new Survey(storage.url);
  for await (const page of storage.list('', {}, deadline)) for (const object of page) survey.add(object);
  const backups: BaseBackup[] = [];
  const others = survey.strays().map((stray) => describeStray(storage.url, stray));
  const read = async (found: ManifestFound): Promise<void> => {
    const files = new BackupFiles(storage, found.directory, deadline);
    const unreadable = await unreadableReason(async () => {
      if (found.directory.split('/').length > MAX_DEPTH) {
        throw new WalFormatError(`it lies deeper than ${MAX_DEPTH} directories below the location`);
      }
      backups.push(
        await readBackup({ files, manifestModified: found.modified, hasBaseTar: found.hasBaseTar }, wantsOwnWal),
      );
    });
    if (unreadable !== undefined) others.push({ path: files.path, kind: 'unreadable', reason: unreadable });
  };
  const manifests = survey.manifests();
  await eachTogether(
    manifests.filter(({ size }) => size < LARGE_BYTES),
    TOGETHER,
    read,
  );
  await eachTogether(
    manifests.filter(({ size }) => size >= LARGE_BYTES),
    1,
    read,
  );
  return { backups: backups.sort(byPath), others: others.sort(byPath), manifests: manifests.map(fingerprintOf) };
}

/**
 * All manifests in a location, a line each: two lists are the same where no backup has come, gone or changed between.
 * Errors: as `readCatalogue`.
 */
export async function listManifests(storage: Storage, deadline: Deadline): Promise<readonly string[]> {
  const survey = new Survey(storage.url);
  for await (const page of storage.list('', {}, deadline)) for (const object of page) survey.add(object);
  return survey.manifests().map(fingerprintOf);
}

function fingerprintOf({ directory, size, modified }: ManifestFound): string {
  return `${directory}/backup_manifest (${size} bytes, ${modified.toISOString()})`;
}

async function unreadableReason(read: () => Promise<void>): Promise<string | undefined> {
  try {
    await read();
    return undefined;
  } catch (error) {
    if (error instanceof WalFormatError) return `its backup_manifest can't be used: ${error.message}`;
    throw error;
  }
}

/** The first error counts; what is under way then comes to its end first. */
async function eachTogether<T>(items: readonly T[], lanes: number, act: (item: T) => Promise<void>): Promise<void> {
  const rest = items.values();
  let failure: { readonly error: unknown } | undefined;
  const lane = async (): Promise<void> => {
    for (const item of rest) {
      if (failure !== undefined) return;
      try {
        await act(item);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  if (failure !== undefined) throw failure.error;
}

function describeStray(url: string, { path, isUnfinished, files }: Stray): Other {
  const shown = path === '' ? url : `${url}/${path}`;
  const count = files === 1 ? 'one file' : `${files} files`;
  if (!isUnfinished) return { path: shown, kind: 'foreign', reason: `${count}, and no backup_manifest` };
  return {
    path: shown,
    kind: 'unfinished',
    reason:
      `${count} of a backup without a backup_manifest: it is being taken, was broken off, ` +
      'or was taken with --no-manifest',
  };
}

function byPath(a: { readonly path: string }, b: { readonly path: string }): number {
  return a.path < b.path ? -1 : 1;
}
