import binding from 'zstd-napi/binding.js';

import { corruptFrame, OUTPUT_BYTES, type CompressOptions, type Zstd } from './zstd.ts';

const { CCtx, CParameter, DCtx, EndDirective } = binding;
const NOTHING = new Uint8Array(0);

/** zstd of the zstd-napi addon: Node's way. */
export const zstd: Zstd = {
  async *compress(source: AsyncIterable<Uint8Array>, { level, size }: CompressOptions) {
    const context = newContext(level);
    context.setPledgedSrcSize(size);
    const output = new Output();
    for await (const piece of source) {
      for (let rest = piece; rest.length > 0;) {
        const [, produced, consumed] = context.compressStream2(output.free(), rest, EndDirective.continue);
        rest = rest.subarray(consumed);
        if (output.fill(produced)) yield output.take();
      }
    }
    for (let pending = 1; pending > 0;) {
      const [left, produced] = context.compressStream2(output.free(), NOTHING, EndDirective.end);
      pending = left;
      if (output.fill(produced)) yield output.take();
    }
    yield output.take();
  },

  compressWhole(bytes: Uint8Array, level: number) {
    const output = Buffer.allocUnsafeSlow(binding.compressBound(bytes.length));
    return Promise.resolve(output.subarray(0, newContext(level).compress2(output, bytes)));
  },

  async *decompress(source: AsyncIterable<Uint8Array>) {
    const context = new DCtx();
    const output = new Output();
    for await (const piece of source) {
      // An output that was filled may mean that more of it waits inside, with no input left.
      for (let rest = piece, full = true; full || rest.length > 0;) {
        const [produced, consumed] = decompressSome(context, output.free(), rest);
        rest = rest.subarray(consumed);
        full = output.fill(produced);
        if (full) yield output.take();
      }
    }
    yield output.take();
  },
};

function newContext(level: number): InstanceType<typeof CCtx> {
  const context = new CCtx();
  context.setParameter(CParameter.compressionLevel, level);
  context.setParameter(CParameter.checksumFlag, 1);
  return context;
}

/** Gathers what a context gives into pieces of one size. */
class Output {
  #buffer = Buffer.allocUnsafeSlow(OUTPUT_BYTES);
  #filled = 0;

  free(): Uint8Array {
    return this.#buffer.subarray(this.#filled);
  }

  /** Whether the piece is full. */
  fill(bytes: number): boolean {
    this.#filled += bytes;
    return this.#filled === OUTPUT_BYTES;
  }

  take(): Uint8Array {
    const piece = this.#buffer.subarray(0, this.#filled);
    this.#buffer = Buffer.allocUnsafeSlow(OUTPUT_BYTES);
    this.#filled = 0;
    return piece;
  }
}

function decompressSome(context: InstanceType<typeof DCtx>, output: Uint8Array, input: Uint8Array): [number, number] {
  try {
    const [, produced, consumed] = context.decompressStream(output, input);
    return [produced, consumed];
  } catch (error) {
    throw corruptFrame(error);
  }
}
