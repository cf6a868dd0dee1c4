import { closeSync, ftruncateSync, write } from 'node:fs';

/** Writes some of the bytes at the position, on another thread; says how many. */
export type WriteSome = (descriptor: number, bytes: Uint8Array, position: number) => Promise<number>;

/** write(2) on the runtime's own threads: node:fs/promises would load more, and needs an object for each file. */
export const writeSome: WriteSome = (descriptor, bytes, position) =>
  new Promise((resolve, reject) => {
    write(descriptor, bytes, 0, bytes.length, position, (error, count) => {
      if (error) reject(error);
      else resolve(count);
    });
  });

/**
 * An open file that is written piece after piece on other threads, while its owner does something else. Its descriptor is
 * not closed while a write is under way: the number could be another file's by then. Errors: those of write(2), as they are.
 */
export class WrittenFile {
  readonly #descriptor: number;
  readonly #writeSome: WriteSome;
  readonly #underWay = new Set<Promise<void>>();
  #length = 0;
  #fault: { readonly error: unknown } | undefined;
  #isGivenUp = false;

  /** Takes over the descriptor, whose file is empty. */
  constructor(descriptor: number, write: WriteSome) {
    this.#descriptor = descriptor;
    this.#writeSome = write;
  }

  /** Appends the bytes, which stay as they are until this has settled. */
  write(bytes: Uint8Array): Promise<void> {
    const writing = this.#writeAll(bytes, this.#length);
    this.#length += bytes.length;
    this.#underWay.add(writing);
    return writing.finally(() => {
      this.#underWay.delete(writing);
      if (this.#isGivenUp) this.#closeIfIdle();
    });
  }

  /** When nothing is under way any more. Errors: that of the first write that failed, even when its caller knows it. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#underWay);
    if (this.#fault) throw this.#fault.error;
  }

  /** Begins again with an empty file. */
  async empty(): Promise<void> {
    await this.settled();
    ftruncateSync(this.#descriptor);
    this.#length = 0;
  }

  /** Closes it when all is written. Errors: as `settled`; a file server may tell only here that the disk is full. */
  async close(): Promise<void> {
    await this.settled();
    this.#isGivenUp = true;
    closeSync(this.#descriptor);
  }

  /** Wants no more of it: closes it now, or when what is under way has ended; the rest of a short write is left out. */
  giveUp(): void {
    if (this.#isGivenUp) return;
    this.#isGivenUp = true;
    this.#closeIfIdle();
  }

  #closeIfIdle(): void {
    if (this.#underWay.size > 0) return;
    try {
      closeSync(this.#descriptor);
    } catch {
      // Nobody wants the file: what was lost of it is of no interest.
    }
  }

  async #writeAll(bytes: Uint8Array, position: number): Promise<void> {
    try {
      for (let written = 0; written < bytes.length && !this.#isGivenUp;) {
        written += await this.#writeSome(this.#descriptor, bytes.subarray(written), position + written);
      }
    } catch (error) {
      this.#fault ??= { error };
      throw error;
    }
  }
}
