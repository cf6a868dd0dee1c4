import binding from 'zstd-napi/binding.js';

import { corruptFrame, Output, WINDOW_LOG, type CompressOptions, type Zstd } from './zstd.ts';

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
  context.setParameter(CParameter.windowLog, WINDOW_LOG);
  return context;
}

function decompressSome(context: InstanceType<typeof DCtx>, output: Uint8Array, input: Uint8Array): [number, number] {
  try {
    const [, produced, consumed] = context.decompressStream(output, input);
    return [produced, consumed];
  } catch (error) {
    throw corruptFrame(error);
  }
}
