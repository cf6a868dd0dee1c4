import { closeSync, ftruncateSync, openSync, readdirSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { codeOf, Failure } from '../exit.ts';

/** The server sweeps pg_wal/xlogtemp.* when it starts after a crash, and no other stray file. */
const TEMPORARY_PREFIX = 'xlogtemp.walseal.';

/**
 * The file that a fetch writes beside its destination, and renames to it only when every byte is proven. Nothing
 * else is ever visible at the destination. Synchronous throughout: it is written once, locally, and must be
 * removable at the very end of the process. Errors: Failure `unwritable` where the disk is full, or not ours.
 */
export class LandingFile {
  readonly #destination: string;
  readonly #path: string;
  #descriptor: number | undefined;
  #isThere = false;
  #length = 0;

  /** Touches nothing yet: a file that turns out to be absent leaves no trace. Errors: Failure `usage`. */
  constructor(destination: string) {
    if (destination === '') {
      throw new Failure('usage', 'the path of the file to write is empty', {
        hint: 'restore_command = \'wal-fetch "%f" "%p"\' passes it last.',
      });
    }
    this.#destination = destination;
    this.#path = join(dirname(destination), `${TEMPORARY_PREFIX}${process.pid}`);
  }

  /** Makes ready for the first byte; what was written before is forgotten. */
  restart(): void {
    writing(this.#path, () => {
      this.#length = 0;
      if (this.#descriptor !== undefined) {
        ftruncateSync(this.#descriptor);
        return;
      }
      removeLeftovers(dirname(this.#destination));
      // One of our own number is left from an earlier life, or somebody else's link: it is not written through.
      removeIfThere(this.#path);
      this.#descriptor = openSync(this.#path, 'wx', 0o600);
      this.#isThere = true;
    });
  }

  write(bytes: Uint8Array): void {
    const descriptor = this.#descriptor;
    if (descriptor === undefined) throw new TypeError('restart() comes before the first byte');
    writing(this.#path, () => {
      for (let written = 0; written < bytes.length;) {
        const count = writeSync(descriptor, bytes, written, bytes.length - written, this.#length);
        written += count;
        this.#length += count;
      }
    });
  }

  /** Gives the file its final name. `mayAct` is asked at the last moment; where it says no, nothing is left behind. */
  commit(mayAct: () => boolean): void {
    this.#close();
    if (!mayAct()) {
      this.discard();
      throw new Failure(
        'unwritable',
        `nobody waits for ${this.#destination} any more: the process that asked for it is gone`,
      );
    }
    writing(this.#destination, () => {
      renameSync(this.#path, this.#destination);
      this.#isThere = false;
    });
  }

  /** Removes the temporary file, if there is one. */
  discard(): void {
    this.#close();
    if (this.#isThere) removeIfThere(this.#path);
    this.#isThere = false;
  }

  #close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}

/**
 * Removes what fetches left behind that were killed: the files whose process is gone. What can't be removed (in /tmp
 * it may be another user's) does no harm.
 */
function removeLeftovers(directory: string): void {
  for (const name of namesIn(directory)) {
    if (!name.startsWith(TEMPORARY_PREFIX)) continue;
    const pid = Number(name.slice(TEMPORARY_PREFIX.length));
    if (Number.isInteger(pid) && pid > 0 && !isAlive(pid)) tryTo(() => unlinkSync(join(directory, name)));
  }
}

function namesIn(directory: string): string[] {
  return tryTo(() => readdirSync(directory)) ?? [];
}

function tryTo<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

function writing(path: string, act: () => void): void {
  try {
    act();
  } catch (error) {
    const code = codeOf(error);
    if (code === undefined) throw error;
    throw new Failure('unwritable', `cannot write ${path}: ${code}`, { hint: HINTS[code] ?? '', cause: error });
  }
}

const HINTS: Readonly<Record<string, string>> = {
  ENOSPC: 'The disk is full: make room and start recovery again.',
  EDQUOT: 'The quota is used up: raise it and start recovery again.',
  EACCES: 'The directory does not admit this user: run as the owner of the data directory.',
  EROFS: 'The file system is mounted read-only: mount it for writing and start recovery again.',
  EISDIR: 'PATH is a directory: name the file to write, in a directory that exists.',
  ENOTDIR: 'A part of the path is a file: PATH is the last argument, relative to the data directory.',
  ENOENT: 'The directory does not exist: PATH is the last argument, relative to the data directory.',
};
