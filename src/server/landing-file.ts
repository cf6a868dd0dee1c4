import { openSync, readdirSync, renameSync, unlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { codeOf, Failure } from '../exit.ts';
import { isZombie } from './guard.ts';
import { WrittenFile, writeSome, type WriteSome } from './written-file.ts';

/** The server sweeps pg_wal/xlogtemp.* when it starts after a crash, and no other stray file. */
const TEMPORARY_PREFIX = 'xlogtemp.walseal.';

/**
 * The file that a fetch writes beside its destination, and renames to it only when every byte is proven. Nothing
 * else is ever visible at the destination. It is written on another thread, while what comes next is being made;
 * `discard` alone is synchronous, as it must be possible at the very end of the process. Errors: Failure `unwritable`
 * where the disk is full, or not ours.
 */
export class LandingFile {
  readonly #destination: string;
  readonly #path: string;
  readonly #writeSome: WriteSome;
  #file: WrittenFile | undefined;
  #isThere = false;
  #isAbandoned = false;

  /**
   * Touches nothing yet: a file that turns out to be absent leaves no trace. Errors: Failure `usage`.
   * @param options.number tells the files apart that one process writes at the same time
   * @param options.write given by tests
   */
  constructor(destination: string, { number, write = writeSome }: { number?: number; write?: WriteSome } = {}) {
    if (destination === '') {
      throw new Failure('usage', 'the path of the file to write is empty', {
        hint: 'restore_command = \'wal-fetch "%f" "%p"\' passes it last.',
      });
    }
    this.#destination = destination;
    this.#writeSome = write;
    const own = number === undefined ? String(process.pid) : `${process.pid}.${number}`;
    this.#path = join(dirname(destination), `${TEMPORARY_PREFIX}${own}`);
  }

  /** Makes ready for the first byte; what was written before is forgotten, when the last of it has settled. */
  async restart(): Promise<void> {
    if (this.#isAbandoned) throw new Failure('unwritable', `${this.#path} is not wanted any more`);
    await writing(this.#path, async () => {
      if (this.#file !== undefined) {
        await this.#file.empty();
        return;
      }
      removeLeftovers(dirname(this.#destination));
      // One of our own number is left from an earlier life, or somebody else's link: it is not written through.
      removeIfThere(this.#path);
      const descriptor = openSync(this.#path, 'wx', 0o600);
      this.#isThere = true;
      this.#file = new WrittenFile(descriptor, this.#writeSome);
    });
  }

  /** Resolves when the bytes are written; until then they stay as they are. */
  write(bytes: Uint8Array): Promise<void> {
    const file = this.#file;
    if (file === undefined) throw new TypeError('restart() comes before the first byte');
    return writing(this.#path, () => file.write(bytes));
  }

  /** The temporary file, when every byte is written: for somebody else to give it its final name, or for `discard`. */
  async finish(): Promise<string> {
    await writing(this.#path, async () => this.#file?.close());
    this.#file = undefined;
    return this.#path;
  }

  /**
   * Gives the file its final name when every byte is written. `mayAct` is asked at the last moment; where it says no,
   * nothing is left behind.
   */
  async commit(mayAct: () => boolean): Promise<void> {
    await this.finish();
    if (!mayAct()) {
      this.discard();
      throw new Failure(
        'unwritable',
        `nobody waits for ${this.#destination} any more: the process that asked for it is gone`,
      );
    }
    await writing(this.#destination, () => {
      renameSync(this.#path, this.#destination);
      this.#isThere = false;
    });
  }

  /** Removes the temporary file, if there is one, at once: even while a write is under way, which then ends in no file. */
  discard(): void {
    this.#file?.giveUp();
    this.#file = undefined;
    if (this.#isThere) removeIfThere(this.#path);
    this.#isThere = false;
  }

  /** Discards it for good: what was cut off by a deadline, and still runs, can't begin it again. */
  abandon(): void {
    this.#isAbandoned = true;
    this.discard();
  }
}

/**
 * Removes what fetches left behind that were killed: the files whose process is gone. What can't be removed (in /tmp
 * it may be another user's) does no harm.
 */
export function removeLeftovers(directory: string): void {
  for (const name of namesIn(directory)) {
    if (!name.startsWith(TEMPORARY_PREFIX)) continue;
    const pid = Number.parseInt(name.slice(TEMPORARY_PREFIX.length), 10);
    if (pid > 0 && !isAlive(pid)) tryTo(() => unlinkSync(join(directory, name)));
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
    return !isZombie(pid);
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

async function writing(path: string, act: () => Promise<void> | void): Promise<void> {
  try {
    await act();
  } catch (error) {
    const code = codeOf(error);
    if (code === undefined) throw error;
    throw new Failure('unwritable', `cannot write ${path}: ${code}`, { hint: HINTS[code] ?? '', cause: error });
  }
}

const GOES_ON = 'A standby goes on by itself, a recovery where it was when it is started again.';
const HINTS: Readonly<Record<string, string>> = {
  ENOSPC: `The disk is full: make room. ${GOES_ON}`,
  EDQUOT: `The quota is used up: raise it. ${GOES_ON}`,
  EACCES: 'The directory does not admit this user: run as the owner of the data directory.',
  EROFS: `The file system is mounted read-only: mount it for writing. ${GOES_ON}`,
  EISDIR: 'PATH is a directory: name the file to write, in a directory that exists.',
  ENOTDIR: 'A part of the path is a file: PATH is the last argument, relative to the data directory.',
  ENOENT: 'The directory does not exist: PATH is the last argument, relative to the data directory.',
};
