import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib';

import { Prefetched } from './pieces.ts';
import { through } from './through.ts';
import { oneFrame } from './zstd-frame.ts';
import { newFrameDecoder, newFrameEncoder } from './zstd-handle.ts';
import { compressAhead, decompressInTurns } from './zstd-reuse.ts';
import { corruptFrame, OUTPUT_BYTES, WINDOW_LOG, type CompressOptions, type Zstd } from './zstd.ts';

/**
 * zstd of the runtime's own node:zlib: the executable's way, with nothing to unpack. It works on other threads. By its
 * handles where they are known, else by its streams, with the same result.
 */
export const zstd: Zstd = {
  compress(source: AsyncIterable<Uint8Array>, options: CompressOptions) {
    const encoder = newFrameEncoder(options);
    return encoder === undefined ? compressByStream(source, options) : compressAhead(encoder, source);
  },
  async *decompress(source: AsyncIterable<Uint8Array>) {
    const pieces = new Prefetched(source);
    pieces.ask();
    // By then the other threads have what they need to make the first piece. To make a decoder takes as long.
    await new Promise((resolve) => setImmediate(resolve));
    const decoder = newFrameDecoder();
    if (decoder === undefined)
      yield* through(pieces.rest(), createZstdDecompress({ chunkSize: OUTPUT_BYTES }), corruptFrame);
    else yield* decompressInTurns(decoder, pieces);
  },
};

/**
 * The streams keep what they are given, so they get copies. Where a frame ends with the last byte of a piece, they begin
 * another one: better none than such a frame. Errors: Failure `invalid` there.
 */
function compressByStream(
  source: AsyncIterable<Uint8Array>,
  { level, size }: CompressOptions,
): AsyncGenerator<Uint8Array> {
  const params = {
    [constants.ZSTD_c_compressionLevel]: level,
    [constants.ZSTD_c_checksumFlag]: 1,
    [constants.ZSTD_c_windowLog]: WINDOW_LOG,
  };
  const transform = createZstdCompress({ params, pledgedSrcSize: size, chunkSize: OUTPUT_BYTES });
  return oneFrame(through(copies(source), transform, corruptFrame), size);
}

async function* copies(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  // Not slice: of a Buffer, that is a view.
  for await (const piece of source) yield Buffer.from(piece);
}
