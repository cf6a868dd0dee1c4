import { createHash } from 'node:crypto';

import { updateCrc32c } from './crc32c.ts';

export type DigestAlgorithm = 'sha256' | 'md5' | 'crc32c';

/** Bytes to be stored, readable as often as an attempt to store them needs. */
export interface SealedBody {
  /** Bytes. */
  readonly length: number;
  /**
   * The digest of all bytes, CRC-32C as 4 bytes, big-endian. Reads through them at the first call for each algorithm,
   * and remembers.
   */
  digest(algorithm: DigestAlgorithm): Promise<Uint8Array>;
  /** All bytes, in pieces of any size. Throws before the last one where the source no longer gives the same bytes. */
  open(): AsyncIterable<Uint8Array>;
}

/** A body of `length` bytes that `open` gives. */
export function makeBody(length: number, open: () => AsyncIterable<Uint8Array>): SealedBody {
  const digests = new Map<DigestAlgorithm, Promise<Uint8Array>>();
  return {
    length,
    open,
    digest(algorithm) {
      const known = digests.get(algorithm);
      if (known !== undefined) return known;
      const digest = computeDigest(algorithm, open());
      digests.set(algorithm, digest);
      // A source that could not be read once may be readable at the next call.
      digest.catch(() => digests.delete(algorithm));
      return digest;
    },
  };
}

async function computeDigest(algorithm: DigestAlgorithm, bytes: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  if (algorithm !== 'crc32c') {
    const hash = createHash(algorithm);
    for await (const piece of bytes) hash.update(piece);
    return hash.digest();
  }
  let crc = 0;
  for await (const piece of bytes) crc = updateCrc32c(crc, piece);
  const digest = Buffer.alloc(4);
  digest.writeUInt32BE(crc);
  return digest;
}
