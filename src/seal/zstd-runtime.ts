import { constants, createZstdCompress, createZstdDecompress, zstdCompress } from 'node:zlib';

import { through } from './through.ts';
import { corruptFrame, OUTPUT_BYTES, type CompressOptions, type Zstd } from './zstd.ts';

/** zstd of the runtime's own node:zlib: the executable's way, with nothing to unpack. It works on other threads. */
export const zstd: Zstd = {
  compress(source: AsyncIterable<Uint8Array>, { level, size }: CompressOptions) {
    return through(
      source,
      createZstdCompress({ params: paramsOf(level), pledgedSrcSize: size, chunkSize: OUTPUT_BYTES }),
      corruptFrame,
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
    return through(source, createZstdDecompress({ chunkSize: OUTPUT_BYTES }), corruptFrame);
  },
};

function paramsOf(level: number): Record<number, number> {
  return { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 };
}
