import binding from 'zstd-napi/binding.js';

import { corruptFrame, OUTPUT_BYTES, type CompressOptions, type Zstd } from './zstd.ts';

const { CCtx, CParameter, DCtx, EndDirective } = binding;
const NOTHING = new Uint8Array(0);

/** zstd of the zstd-napi addon: Node's way. */
export const zstd: Zstd = {
  async *compress(source: AsyncIterable<Uint8Array>, { level, size }: CompressOptions) {
    const context = new CCtx();
    context.setParameter(CParameter.compressionLevel, level);
    context.setParameter(CParameter.checksumFlag, 1);
    context.setPledgedSrcSize(size);
    for await (const piece of source) {
      let rest = piece;
      while (rest.length > 0) {
        const output = Buffer.allocUnsafe(OUTPUT_BYTES);
        const [, produced, consumed] = context.compressStream2(output, rest, EndDirective.continue);
        rest = rest.subarray(consumed);
        if (produced > 0) yield output.subarray(0, produced);
      }
    }
    for (let pending = 1; pending > 0;) {
      const output = Buffer.allocUnsafe(OUTPUT_BYTES);
      const [left, produced] = context.compressStream2(output, NOTHING, EndDirective.end);
      pending = left;
      if (produced > 0) yield output.subarray(0, produced);
    }
  },

  async *decompress(source: AsyncIterable<Uint8Array>) {
    const context = new DCtx();
    for await (const piece of source) {
      let rest = piece;
      // A full output may mean that more of it waits inside, with no input left.
      for (let full = true; full || rest.length > 0;) {
        const output = Buffer.allocUnsafe(OUTPUT_BYTES);
        const [produced, consumed] = step(context, output, rest);
        rest = rest.subarray(consumed);
        full = produced === output.length;
        if (produced > 0) yield output.subarray(0, produced);
      }
    }
  },
};

function step(context: InstanceType<typeof DCtx>, output: Uint8Array, input: Uint8Array): [number, number] {
  try {
    const [, produced, consumed] = context.decompressStream(output, input);
    return [produced, consumed];
  } catch (error) {
    throw corruptFrame(error);
  }
}
