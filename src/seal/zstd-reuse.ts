import type { Prefetched } from './pieces.ts';
import { corruptFrame, Output } from './zstd.ts';
import type { FrameCoder } from './zstd-handle.ts';

/** Of each of the three buffers: the first piece is waited for, and each costs a change of threads. */
const PIECE_BYTES = 768 * 1024;

/**
 * What `decoder` makes of the source, in pieces of one size that lie in three buffers by turns: while one piece is used
 * here, the next one is decompressed on another thread, and the one before may still be written on a third. Fresh memory for each piece would cost more than all the rest
 * of a fetch but the digests. Closes the decoder and the source.
 */
export async function* decompressInTurns(decoder: FrameCoder, source: Prefetched): AsyncGenerator<Uint8Array> {
  const filler = new Filler(decoder, source);
  let [before, now, next] = [newBuffer(), newBuffer(), newBuffer()];
  let filling = filler.fill(now);
  try {
    for (;;) {
      const filled = await filling;
      if (filled === PIECE_BYTES) {
        filling = filler.fill(next);
        // It is waited for when the piece has been used.
        filling.catch(() => undefined);
      }
      if (filled > 0) yield now.subarray(0, filled);
      if (filled < PIECE_BYTES) return;
      [before, now, next] = [now, next, before];
    }
  } finally {
    // The other thread may still write into a buffer.
    await filling.catch(() => undefined);
    await filler.close();
  }
}

function newBuffer(): Buffer {
  return Buffer.allocUnsafeSlow(PIECE_BYTES);
}

const NOTHING = new Uint8Array(0);
/** More than can wait inside a compressor when its input has ended: two blocks of 128 KiB, and what surrounds them. */
const LAST_OUTPUT_BYTES = 512 * 1024;

/**
 * The frame that `encoder` makes of the source. While a piece is compressed on another thread, the next one is asked
 * for. Closes the encoder.
 */
export async function* compressAhead(
  encoder: FrameCoder,
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const output = new Output();
  const pieces = source[Symbol.asyncIterator]();
  let asking = pieces.next();
  try {
    for (;;) {
      const asked = await asking;
      const isLast = asked.done === true;
      let input: Uint8Array = isLast ? NOTHING : asked.value;
      if (isLast && output.free().length < LAST_OUTPUT_BYTES) yield output.take();
      let stepping = encoder.step(input, output.free(), isLast);
      if (!isLast) {
        asking = pieces.next();
        // It is waited for when this piece has been used.
        asking.catch(() => undefined);
      }
      for (;;) {
        const { consumed, produced } = await stepping;
        input = input.subarray(consumed);
        const isFull = output.fill(produced);
        // Asked once more after the end of a frame, zstd would begin another one.
        if (isFull && isLast) throw new Error('more waits in the compressor than it can hold');
        if (isFull) yield output.take();
        if (!isFull && input.length === 0) break;
        stepping = encoder.step(input, output.free(), isLast);
      }
      if (isLast) break;
    }
    yield output.take();
  } finally {
    encoder.close();
    await pieces.return?.().catch(() => undefined);
  }
}

class Filler {
  readonly #decoder: FrameCoder;
  readonly #source: Prefetched;
  #input: Uint8Array = new Uint8Array(0);
  /** Whether the last step filled what it was given, so that more may wait inside. */
  #isPending = false;

  constructor(decoder: FrameCoder, source: Prefetched) {
    this.#decoder = decoder;
    this.#source = source;
  }

  /** Fills the buffer; fewer bytes mean that nothing follows. Errors: Failure `invalid`; those of the source. */
  async fill(buffer: Uint8Array): Promise<number> {
    let filled = 0;
    while (filled < buffer.length) {
      if (this.#input.length === 0 && !this.#isPending) {
        const piece = await this.#source.next();
        if (piece === undefined) break;
        this.#input = piece;
        continue;
      }
      const { consumed, produced } = await this.#step(buffer.subarray(filled));
      this.#input = this.#input.subarray(consumed);
      filled += produced;
      this.#isPending = filled === buffer.length;
    }
    return filled;
  }

  async #step(output: Uint8Array): Promise<{ consumed: number; produced: number }> {
    try {
      const stepping = this.#decoder.step(this.#input, output);
      // What it takes to make the next piece of the source, this thread does while the other one decompresses.
      this.#source.ask();
      return await stepping;
    } catch (error) {
      throw corruptFrame(error);
    }
  }

  async close(): Promise<void> {
    this.#decoder.close();
    await this.#source.close();
  }
}
