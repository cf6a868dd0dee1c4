import { createHash } from 'node:crypto';
import type { Body, DigestAlgorithm } from '../../src/storage/storage.ts';
import { crc32c } from '../../src/wal/crc32c.ts';

/** A body of these bytes, in pieces of the given size. */
export function bodyOf(bytes: Uint8Array, pieceSize = 64 * 1024): Body {
  return {
    length: bytes.length,
    digest: (algorithm) => Promise.resolve(digestOf(algorithm, bytes)),
    open: async function* () {
      for (let start = 0; start < bytes.length; start += pieceSize) {
        yield await Promise.resolve(bytes.subarray(start, start + pieceSize));
      }
    },
  };
}

export const text = (content: string): Body => bodyOf(Buffer.from(content));

/** A body that announces `length` bytes and the digest of none, and gives what `open` gives. */
export function announcing(length: number, open: Body['open']): Body {
  return { length, digest: (algorithm) => Promise.resolve(digestOf(algorithm, Buffer.alloc(0))), open };
}

/** CRC-32C as 4 bytes, big-endian. */
function digestOf(algorithm: DigestAlgorithm, bytes: Uint8Array): Uint8Array {
  if (algorithm !== 'crc32c') return createHash(algorithm).update(bytes).digest();
  const digest = Buffer.alloc(4);
  digest.writeUInt32BE(crc32c(bytes));
  return digest;
}

/** Bytes without a pattern, the same for the same seed. */
export function noise(length: number, seed: number): Buffer {
  const block = createHash('shake256', { outputLength: Math.min(length, 1024 * 1024) })
    .update(String(seed))
    .digest();
  return Buffer.alloc(length, length === 0 ? undefined : block);
}

export async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}
