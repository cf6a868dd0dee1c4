import { gzipSync, zstdCompressSync } from 'node:zlib';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { ByteReader } from '../../src/retention/bytes.ts';
import { unpack, type Packing } from '../../src/retention/unpack.ts';
import { WalFormatError } from '../../src/wal/error.ts';
import { collect } from '../storage/bodies.ts';
import { inPieces } from './manifests.ts';

/** One step of LZ4: bytes as they are, then bytes from before. */
interface Sequence {
  readonly literals: Uint8Array;
  /** How far back, as a share of what there is. */
  readonly back: number;
  readonly match: number;
}

const anySequence: fc.Arbitrary<Sequence> = fc.record({
  literals: fc.uint8Array({ minLength: 1, maxLength: 600 }),
  back: fc.double({ min: 0, max: 1, noNaN: true }),
  match: fc.integer({ min: 4, max: 700 }),
});

/** Packs blocks of sequences, of which the last has no match, and says what they hold. */
function packLz4(blocks: readonly (readonly Sequence[])[], stored: readonly boolean[]) {
  let content = Buffer.alloc(0);
  const parts = [Buffer.from('04224d18' + '40' + '40' + '00', 'hex')];
  for (const [index, block] of blocks.entries()) {
    const before = content.length;
    const packed: Buffer[] = [];
    for (const [at, { literals, back, match }] of block.entries()) {
      content = Buffer.concat([content, literals]);
      const isLast = at === block.length - 1;
      const high = Math.min(15, literals.length) << 4;
      packed.push(
        Buffer.from([high + (isLast ? 0 : Math.min(15, match - 4))]),
        more(literals.length),
        Buffer.from(literals),
      );
      if (isLast) break;
      const distance = Math.max(1, Math.floor(back * Math.min(content.length, 65_535)));
      for (let byte = 0; byte < match; byte += 1) {
        content = Buffer.concat([content, content.subarray(content.length - distance, content.length - distance + 1)]);
      }
      packed.push(Buffer.from([distance & 255, distance >>> 8]), more(match - 4));
    }
    const bytes = stored[index] === true ? content.subarray(before) : Buffer.concat(packed);
    const word = Buffer.alloc(4);
    word.writeUInt32LE(bytes.length + (stored[index] === true ? 0x8000_0000 : 0));
    parts.push(word, bytes);
  }
  return { content, frame: Buffer.concat([...parts, Buffer.alloc(4)]) };
}

/** What follows four bits that are full. */
function more(length: number): Buffer {
  if (length < 15) return Buffer.alloc(0);
  const rest = length - 15;
  return Buffer.concat([Buffer.alloc(Math.floor(rest / 255), 255), Buffer.from([rest % 255])]);
}

const anyBlocks = fc.array(fc.array(anySequence, { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 8 });

test('LZ4 in linked blocks, packed or stored, in pieces of any size', async () => {
  await fc.assert(
    fc.asyncProperty(
      anyBlocks,
      fc.array(fc.boolean()),
      fc.integer({ min: 1, max: 5000 }),
      async (blocks, stored, piece) => {
        const { content, frame } = packLz4(blocks, stored);
        expect((await collect(unpack(inPieces(frame, piece), '.tar.lz4'))).equals(content)).toBe(true);
      },
    ),
    { numRuns: 30 },
  );
}, 30_000);

test('LZ4 that is cut or damaged is refused, or gives something else; it never runs away', async () => {
  const { content, frame } = packLz4(
    [
      [
        { literals: Buffer.alloc(40, 'a'), back: 1, match: 100 },
        { literals: Buffer.from('end'), back: 0, match: 4 },
      ],
    ],
    [],
  );
  for (let length = 0; length < frame.length; length += 1) {
    await expect(collect(unpack(inPieces(frame.subarray(0, length), 7), '.tar.lz4'))).rejects.toThrow(WalFormatError);
  }
  await fc.assert(
    fc.asyncProperty(fc.nat(frame.length - 1), fc.nat(255), async (at, byte) => {
      const changed = Buffer.from(frame);
      changed[at] = byte;
      try {
        const bytes = await collect(unpack(inPieces(changed, 1000), '.tar.lz4'));
        expect(bytes.length).toBeLessThanOrEqual(64 * 1024);
      } catch (error) {
        expect(error).toBeInstanceOf(WalFormatError);
      }
    }),
    { numRuns: 200 },
  );
  expect(content.length).toBe(143);
});

describe.each<[Packing, (bytes: Uint8Array) => Uint8Array]>([
  ['.tar', (bytes) => bytes],
  ['.tar.gz', (bytes) => gzipSync(bytes)],
  ['.tar.zst', (bytes) => zstdCompressSync(bytes)],
])('%s', (packing, pack) => {
  const content = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * index) >>> 8));

  test('gives back what was packed', async () => {
    expect((await collect(unpack(inPieces(pack(content), 5000), packing))).equals(content)).toBe(true);
  });

  test('is read no further than it is wanted, and its source is told so', async () => {
    let isClosed = false;
    let given = 0;
    const source = async function* (): AsyncGenerator<Uint8Array> {
      try {
        for await (const piece of inPieces(pack(Buffer.concat(Array.from({ length: 20 }, () => content))), 5000)) {
          given += piece.length;
          yield piece;
        }
      } finally {
        isClosed = true;
      }
    };
    const bytes = new ByteReader(unpack(source(), packing));
    expect((await bytes.take(1000)).equals(content.subarray(0, 1000))).toBe(true);
    await bytes.close();
    expect({ isClosed, isEarly: given < 2_000_000 }).toEqual({ isClosed: true, isEarly: true });
  });

  test('passes on what its source throws', async () => {
    const source = async function* (): AsyncGenerator<Uint8Array> {
      yield* inPieces(pack(content).subarray(0, 100), 10);
      throw new RangeError('a cable was pulled');
    };
    await expect(collect(unpack(source(), packing))).rejects.toThrow(RangeError);
  });
});

test.each<Packing>(['.tar.gz', '.tar.zst', '.tar.lz4'])('what is no %s is refused', async (packing) => {
  await expect(collect(unpack(inPieces(Buffer.alloc(1000, 'no'), 100), packing))).rejects.toThrow(WalFormatError);
});
