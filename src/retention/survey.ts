import { Failure } from '../exit.ts';
import type { ListedObject } from '../storage/storage.ts';
import { parseTarName } from './tars.ts';

/** A directory (or a file) of a location in which no backup can be seen. */
export interface Stray {
  readonly path: string;
  /** Whether it has what pg_basebackup writes: then a backup is being taken there, was broken off, or has no manifest. */
  readonly isUnfinished: boolean;
  readonly files: number;
}

/** A directory with a manifest. */
export interface ManifestFound {
  /** In the location, without a slash at its end; '' is the location itself. */
  readonly directory: string;
  readonly modified: Date;
  /** Bytes. */
  readonly size: number;
  /** Whether a base.tar, in whatever packing, lies beside it. */
  readonly hasBaseTar: boolean;
}

/** How deep below the location a backup may lie. */
export const MAX_DEPTH = 8;
const MAX_BACKUPS = 10_000;
/** Directories without a manifest in or above them that are kept in mind: some 40 for each backup that is being taken. */
const MAX_DIRECTORIES = 200_000;
const MANIFEST = 'backup_manifest';
/** What pg_basebackup writes into the directory of a backup before it is done; not what lies deeper. */
const SIGN = /^(?:backup_label|backup_manifest\.tmp|PG_VERSION)$/;

interface Directory {
  files: number;
  hasSign: boolean;
}

/**
 * Looks through the listing of a location for manifests, an object at a time: of the files of a backup whose manifest
 * was seen nothing is kept.
 */
export class Survey {
  readonly #url: string;
  readonly #manifests = new Map<string, Pick<ManifestFound, 'modified' | 'size'>>();
  readonly #withBaseTar = new Set<string>();
  readonly #directories = new Map<string, Directory>();
  /** The directory of the object before: mostly that of the next one as well. */
  #last: { readonly name: string; readonly directory: Directory | undefined } | undefined;

  constructor(url: string) {
    this.#url = url;
  }

  /** Errors: Failure `usage` where there is more than can be taken in. */
  add({ key, size, modified }: ListedObject): void {
    const slash = key.lastIndexOf('/');
    const directory = key.slice(0, Math.max(0, slash));
    const file = key.slice(slash + 1);
    if (file === MANIFEST) this.#addManifest(directory, { modified, size });
    const tar = parseTarName(file);
    if (tar?.stem === 'base') this.#withBaseTar.add(directory);
    if (this.#last?.name !== directory) this.#last = { name: directory, directory: this.#remember(directory) };
    const seen = this.#last.directory;
    if (seen === undefined) return;
    seen.files += 1;
    seen.hasSign ||= tar !== undefined || SIGN.test(file);
  }

  /** The backups, by directory. */
  manifests(): ManifestFound[] {
    return [...this.#manifests]
      .map(([directory, found]) => ({ directory, ...found, hasBaseTar: this.#withBaseTar.has(directory) }))
      .sort((a, b) => (a.directory < b.directory ? -1 : 1));
  }

  /** What belongs to no backup: the topmost directories that say something, each once. */
  strays(): Stray[] {
    const above = new Set<string>(['']);
    for (const directory of this.#manifests.keys()) for (const parent of parentsOf(directory)) above.add(parent);
    const strays = new Map<string, Stray>();
    for (const [name, { files }] of this.#directories) {
      if (this.#belongsToBackup(name)) continue;
      const parents = parentsOf(name);
      const signed = [...parents, name].find((parent) => this.#directories.get(parent)?.hasSign === true);
      const path = signed ?? [...parents, name].find((parent) => !above.has(parent)) ?? name;
      const known = strays.get(path);
      strays.set(path, { path, isUnfinished: signed !== undefined, files: files + (known?.files ?? 0) });
    }
    return [...strays.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  #addManifest(directory: string, found: Pick<ManifestFound, 'modified' | 'size'>): void {
    this.#manifests.set(directory, found);
    this.#last = undefined;
    if (this.#manifests.size > MAX_BACKUPS) {
      throw new Failure('usage', `${this.#url} holds more than ${MAX_BACKUPS} base backups`, {
        hint: 'Name several [[backups]], each with fewer, or remove old ones.',
      });
    }
  }

  /** Undefined where it lies in a backup. */
  #remember(name: string): Directory | undefined {
    if (this.#belongsToBackup(name)) return undefined;
    const depth = name.split('/', MAX_DEPTH + 1);
    const kept = depth.slice(0, MAX_DEPTH).join('/');
    let directory = this.#directories.get(kept);
    if (directory === undefined) {
      directory = { files: 0, hasSign: false };
      this.#directories.set(kept, directory);
      if (this.#directories.size > MAX_DIRECTORIES) this.#forgetBackups();
    }
    return directory;
  }

  /** Stores list in no promised order: a manifest may come after what it is about. */
  #forgetBackups(): void {
    for (const name of this.#directories.keys()) if (this.#belongsToBackup(name)) this.#directories.delete(name);
    if (this.#directories.size <= MAX_DIRECTORIES / 2) return;
    throw new Failure(
      'usage',
      `${this.#url} holds more than ${MAX_DIRECTORIES / 2} directories that are no base backup's`,
      {
        hint: 'Name the directory that the base backups lie in.',
      },
    );
  }

  #belongsToBackup(name: string): boolean {
    return this.#manifests.has(name) || parentsOf(name).some((parent) => this.#manifests.has(parent));
  }
}

/** Those above, the topmost ('') first. */
function parentsOf(name: string): string[] {
  if (name === '') return [];
  const parts = name.split('/');
  return parts.map((_, index) => parts.slice(0, index).join('/'));
}
