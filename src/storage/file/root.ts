import { dirname } from 'node:path';
import { StorageError } from '../errors.ts';
import type { Disk } from './disk.ts';
import { codeOf } from '../../exit.ts';
import { doing, fault } from './faults.ts';

/** Where temporary files are made, below the root: the file system of the objects, since link(2) needs that. */
export const TEMPORARY = 'tmp';
/** Names below the root that are no objects' and never will be: ours, and what file systems and file servers put there. */
const RESERVED: ReadonlySet<string> = new Set([TEMPORARY, 'lost+found', '.snapshot', '.zfs']);

/** Which directory the root was when it was looked at; another one means that a disk came or went. */
export type Standing = string & { readonly standing: unique symbol };

/** The directory that an archive lies in. It is never created: an unmounted disk looks just as if it were not there. */
export class Root {
  readonly disk: Disk;
  readonly path: string;
  readonly #mounted: boolean;

  constructor(disk: Disk, path: string, options: { readonly mounted: boolean }) {
    this.disk = disk;
    this.path = path;
    this.#mounted = options.mounted;
  }

  /** The path of a key. A key that could leave the root, or lie where no object does, is a bug: TypeError. */
  pathOf(key: string): string {
    const parts = key.split('/');
    if (parts.some((part) => part === '' || part === '.' || part === '..') || key.includes('\0')) {
      throw new TypeError(`"${key}" is no key`);
    }
    if (isReserved(key)) throw new TypeError(`the key "${key}" lies where no object does`);
    return `${this.path}/${key}`;
  }

  /** The directories of a key below the root, from the top. */
  directoriesOf(key: string): string[] {
    const parts = key.split('/');
    return parts.slice(1).map((_, index) => `${this.path}/${parts.slice(0, index + 1).join('/')}`);
  }

  /**
   * Looks whether the root stands: a directory, and mounted where that is demanded.
   * Errors: `unreachable` where it is missing or not mounted, `configuration` where it is something else, `denied`.
   */
  async prove(): Promise<Standing> {
    const stats = await this.#stat();
    if (!stats.isDirectory()) {
      throw new StorageError('configuration', `${this.path} is not a directory`, {
        hint: 'An archive lies in a directory.',
      });
    }
    if (this.#mounted) await this.#proveMounted(stats.dev);
    return this.#standing(stats);
  }

  /**
   * Proves that a missing path below these directories is absent, and not just out of sight: each of them is there or
   * missing itself, none is a link to nothing, and the root is the same directory that it was before the look.
   * Errors: `unreachable`, and those of `prove`.
   */
  async proveAbsent(directories: readonly string[], before: Standing): Promise<void> {
    for (const directory of directories) {
      if (!(await this.#stands(directory))) break;
    }
    if ((await this.prove()) === before) return;
    throw new StorageError('unreachable', `${this.path} became another directory while it was read`, {
      hint: 'A disk was mounted or unmounted there.',
    });
  }

  async #stands(directory: string): Promise<boolean> {
    try {
      const stats = await this.disk.lstat(directory);
      if (!stats.isSymbolicLink()) return true;
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return false;
      throw fault(error, `look at ${directory}`);
    }
    await this.followLink(directory);
    return true;
  }

  /** What a symbolic link inside the archive leads to. Errors: `unreachable` where that is missing. */
  async followLink(path: string): Promise<{ isDirectory(): boolean }> {
    try {
      return await this.disk.stat(path);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw fault(error, `follow the link ${path}`);
      throw new StorageError('unreachable', `${path} is a symbolic link to nothing`, {
        cause: error,
        hint: 'Is the disk that it leads to mounted?',
        retryable: false,
      });
    }
  }

  async #stat(): Promise<{ dev: bigint; ino: bigint; isDirectory(): boolean }> {
    try {
      // With "/." an automounter mounts first.
      return await this.disk.stat(`${this.path}/.`, { bigint: true });
    } catch (error) {
      const code = codeOf(error);
      if (code === 'ENOTDIR') {
        throw new StorageError('configuration', `${this.path} is not a directory`, {
          cause: error,
          hint: 'An archive lies in a directory.',
        });
      }
      if (code !== 'ENOENT') throw fault(error, `look at the archive ${this.path}`);
      throw new StorageError('unreachable', `there is no directory ${this.path}`, {
        cause: error,
        hint: 'Is its disk mounted? For a new archive, make the directory: it is never created by itself.',
        retryable: false,
      });
    }
  }

  async #proveMounted(device: bigint): Promise<void> {
    const parent = await doing(
      `look at the directory above ${this.path}`,
      this.disk.stat(`${this.path}/..`, { bigint: true }),
    );
    if (parent.dev !== device) return;
    throw new StorageError(
      'unreachable',
      `${this.path} is not mounted: it lies on the same device as ${dirname(this.path)}`,
      {
        hint: 'Mount its disk, or say mounted = false for a directory that is no mount point.',
        retryable: false,
      },
    );
  }

  #standing(stats: { dev: bigint; ino: bigint }): Standing {
    return `${stats.dev}:${stats.ino}` as Standing;
  }
}

/** Whether a path below the root belongs to no object, whatever lies there. */
export function isReserved(key: string): boolean {
  const [first = ''] = key.split('/', 1);
  return RESERVED.has(first);
}
