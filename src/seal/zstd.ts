import { invalid } from './invalid.ts';

/**
 * Zstandard (RFC 8878), one frame at a time. The two runtimes have it in two places:
 * zstd-runtime.ts and zstd-napi.ts; `#zstd` in package.json chooses.
 */
export interface Zstd {
  /**
   * One frame with content checksum and content size. The next piece of `source` is asked for while the last one is
   * compressed on another thread, where the runtime can: each stays as it is until the second one after it is asked for.
   */
  compress(source: AsyncIterable<Uint8Array>, options: CompressOptions): AsyncGenerator<Uint8Array>;
  /**
   * What the frame holds, in pieces: each stays as it is until the second one after it is asked for. The same
   * is asked of the pieces of `source`. The end proves nothing: a decoder may take a cut frame in silence.
   * Errors: Failure `invalid`; those of `source` pass through.
   */
  decompress(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array>;
}

export interface CompressOptions {
  readonly level: number;
  /** Bytes that the source will give. */
  readonly size: number;
}

/**
 * The window, as a power of two: 128 KiB. What repeats in WAL repeats near by, so that a larger one makes objects larger,
 * and compression and decompression slower: docs/decisions/0011-small-window.md.
 */
export const WINDOW_LOG = 17;

/** Pieces of the output: each costs a change of threads, and what is kept waiting costs memory. */
export const OUTPUT_BYTES = 1024 * 1024;

/** What a decoder says about bytes that it can't take. */
export function corruptFrame(error: unknown): Error {
  const reason = error instanceof Error ? error.message : String(error);
  return invalid(`zstd frame is corrupt: ${reason}`, { cause: error });
}

/** Gathers what a compressor gives into pieces of one size. */
export class Output {
  #buffer: Uint8Array | undefined;
  #filled = 0;

  free(): Uint8Array {
    this.#buffer ??= Buffer.allocUnsafeSlow(OUTPUT_BYTES);
    return this.#buffer.subarray(this.#filled);
  }

  /** Whether the piece is full. */
  fill(bytes: number): boolean {
    this.#filled += bytes;
    return this.#filled === OUTPUT_BYTES;
  }

  take(): Uint8Array {
    const piece = this.#buffer?.subarray(0, this.#filled) ?? new Uint8Array(0);
    this.#buffer = undefined;
    this.#filled = 0;
    return piece;
  }
}
