import { pipeline } from 'node:stream/promises';
import type { Transform } from 'node:stream';
import { constants, createZstdCompress, createZstdDecompress, zstdCompress } from 'node:zlib';

import { corruptFrame, OUTPUT_BYTES, type CompressOptions, type Zstd } from './zstd.ts';

/** zstd of the runtime's own node:zlib: the executable's way, with nothing to unpack. It works on other threads. */
export const zstd: Zstd = {
  compress(source: AsyncIterable<Uint8Array>, { level, size }: CompressOptions) {
    return through(
      source,
      createZstdCompress({ params: paramsOf(level), pledgedSrcSize: size, chunkSize: OUTPUT_BYTES }),
    );
  },
  compressWhole(bytes: Uint8Array, level: number) {
    // Room for all of the output, even of noise: a second piece would cost another change of threads.
    const options = { params: paramsOf(level), pledgedSrcSize: bytes.length, chunkSize: bytes.length + OUTPUT_BYTES };
    return new Promise((resolve, reject) => {
      zstdCompress(bytes, options, (error, packed) => {
        if (error === null) resolve(packed);
        else reject(error);
      });
    });
  },
  decompress(source: AsyncIterable<Uint8Array>) {
    return through(source, createZstdDecompress({ chunkSize: OUTPUT_BYTES }));
  },
};

function paramsOf(level: number): Record<number, number> {
  return { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 };
}

/** What comes out of the transform when the source goes in. Of two errors the source's counts. */
async function* through(source: AsyncIterable<Uint8Array>, transform: Transform): AsyncGenerator<Uint8Array> {
  let fault: { error: unknown } | undefined;
  async function* watched(): AsyncGenerator<Uint8Array> {
    try {
      yield* source;
    } catch (error) {
      fault = { error };
      throw error;
    }
  }
  const feeding = pipeline(watched(), transform).catch(() => undefined);
  try {
    for await (const piece of transform) yield asBytes(piece);
  } catch (error) {
    throw fault === undefined ? corruptFrame(error) : fault.error;
  } finally {
    transform.destroy();
    await feeding;
  }
}

function asBytes(piece: unknown): Uint8Array {
  if (piece instanceof Uint8Array) return piece;
  throw new TypeError('a stream of bytes gave something else');
}
