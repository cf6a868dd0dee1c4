import { invalid } from './invalid.ts';

/**
 * Zstandard (RFC 8878), one frame at a time. The two runtimes have it in two places:
 * zstd-runtime.ts and zstd-napi.ts; `#zstd` in package.json chooses.
 */
export interface Zstd {
  /** One frame with content checksum and content size. `size`: bytes that `source` will give. */
  compress(source: AsyncIterable<Uint8Array>, options: CompressOptions): AsyncGenerator<Uint8Array>;
  /** The same of bytes that are all there; on another thread, where the runtime can. */
  compressWhole(bytes: Uint8Array, level: number): Promise<Uint8Array>;
  /**
   * What the frame holds. Its end proves nothing: a decoder may take a cut frame in silence.
   * Errors: Failure `invalid`; those of `source` pass through.
   */
  decompress(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array>;
}

export interface CompressOptions {
  readonly level: number;
  /** Bytes. */
  readonly size: number;
}

/** Pieces of the output: each costs a change of threads, and what is kept waiting costs memory. */
export const OUTPUT_BYTES = 1024 * 1024;

/** What a decoder says about bytes that it can't take. */
export function corruptFrame(error: unknown): Error {
  const reason = error instanceof Error ? error.message : String(error);
  return invalid(`zstd frame is corrupt: ${reason}`, { cause: error });
}
