import { createHash } from 'node:crypto';
import type { Body } from '../../src/storage/storage.ts';
import { crc32c } from '../../src/wal/crc32c.ts';

/** A body of these bytes, in pieces of the given size. */
export function bodyOf(bytes: Uint8Array, pieceSize = 64 * 1024): Body {
  return {
    length: bytes.length,
    digest: (algorithm) => {
      if (algorithm !== 'crc32c') return Promise.resolve(createHash(algorithm).update(bytes).digest());
      const digest = Buffer.alloc(4);
      digest.writeUInt32BE(crc32c(bytes));
      return Promise.resolve(digest);
    },
    open: async function* () {
      for (let start = 0; start < bytes.length; start += pieceSize) {
        yield await Promise.resolve(bytes.subarray(start, start + pieceSize));
      }
    },
  };
}

export const text = (content: string): Body => bodyOf(Buffer.from(content));

const DIGEST_BYTES = { sha256: 32, md5: 16, crc32c: 4 } as const;

/** A body that announces `length` bytes and gives what `open` gives. Its digests are those of nothing. */
export function announcing(length: number, open: Body['open']): Body {
  return { length, digest: (algorithm) => Promise.resolve(Buffer.alloc(DIGEST_BYTES[algorithm])), open };
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
