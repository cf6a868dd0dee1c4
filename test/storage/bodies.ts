import { createHash } from 'node:crypto';
import { makeBody } from '../../src/seal/body.ts';
import type { Body } from '../../src/storage/storage.ts';

const MIB = 1024 * 1024;

/** A body of these bytes, in pieces of the given size. */
export function bodyOf(bytes: Uint8Array, pieceSize = 64 * 1024): Body {
  return makeBody(bytes.length, async function* () {
    for (let start = 0; start < bytes.length; start += pieceSize) {
      yield await Promise.resolve(bytes.subarray(start, start + pieceSize));
    }
  });
}

export const text = (content: string): Body => bodyOf(Buffer.from(content));

/**
 * A body that announces `length` bytes, with the digest of that much noise, and gives what `open` gives: as one does
 * whose source has changed since.
 */
export function announcing(length: number, open: Body['open']): Body {
  const announced = bodyOf(noise(length, 1));
  return { length, digest: (algorithm) => announced.digest(algorithm), open };
}

/** A body of so many MiB that is made as it is read: no two pieces are alike, and none is kept. */
export function generated(mib: number, seed: number): Body {
  const block = noise(MIB, seed);
  return makeBody(mib * MIB, async function* () {
    for (let index = 0; index < mib; index += 1) {
      const piece = Buffer.from(block);
      piece.writeUInt32BE(index);
      yield await Promise.resolve(piece);
    }
  });
}

/** Bytes without a pattern, the same for the same seed. */
export function noise(length: number, seed: number): Buffer {
  const block = createHash('shake256', { outputLength: Math.min(length, MIB) })
    .update(String(seed))
    .digest();
  return Buffer.alloc(length, length === 0 ? undefined : block);
}

export async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}
