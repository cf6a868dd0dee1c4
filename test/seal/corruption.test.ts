import { describe, expect, test } from 'vitest';

import { readVectorFile, readVectors, tryVector } from './vectors.ts';

const CHUNK = 65_536 + 16;

function vector(file: string) {
  const found = readVectors().find((one) => one.file === `${file}.sealed` && one.outcome === 'opens');
  if (found === undefined) throw new Error(`there is no vector ${file}`);
  return { vector: found, object: readVectorFile(found.file) };
}

/** Where the parts of an encrypted object begin; each ends where the next one begins. */
function partsOf(object: Buffer) {
  const wraps = [...object.toString('latin1').matchAll(/-> X25519 /g)].map((match) => match.index);
  const [alice = 0, bob = 0] = wraps;
  const mac = object.indexOf('\n--- ') + 1;
  const payload = object.indexOf('\n', mac) + 1;
  return { version: 0, label: 22, alice, bob, mac, payload, chunk: payload + 16, end: object.length };
}

function flipped(object: Buffer, at: number, bit: number): Buffer {
  const changed = Buffer.from(object);
  changed[at] = (changed[at] ?? 0) ^ (1 << bit);
  return changed;
}

describe('a cut object', () => {
  test.each(['encrypted', 'signed', 'plain', 'plain-signed'])('%s is invalid wherever it is cut', async (file) => {
    const { vector: whole, object } = vector(file);
    for (let length = 0; length < object.length; length += 1) {
      const result = await tryVector(whole, object.subarray(0, length));
      expect(result, `cut to ${length} bytes`).toMatchObject({ outcome: 'invalid' });
    }
  });

  test('is invalid where it is cut at or beside the end of a chunk', async () => {
    const { vector: whole, object } = vector('two-chunks');
    const { payload } = partsOf(object);
    const ends = [payload, payload + 16, payload + 16 + CHUNK, object.length];
    for (const length of ends.flatMap((end) => [end - 1, end, end + 1]).filter((end) => end < object.length)) {
      const result = await tryVector(whole, object.subarray(0, length));
      expect(result, `cut to ${length} bytes`).toMatchObject({ outcome: 'invalid' });
    }
  });
});

describe('a flipped bit', () => {
  const { vector: whole, object } = vector('encrypted');
  const parts = partsOf(object);
  test.each([
    { part: 'the version line', from: parts.version, to: parts.label, outcomes: ['invalid'] },
    { part: 'the label', from: parts.label, to: parts.alice, outcomes: ['invalid'] },
    // Nobody can tell a damaged wrap from one for somebody else.
    { part: 'the wrap of the reader', from: parts.alice, to: parts.bob, outcomes: ['invalid', 'no-key'] },
    { part: 'the wrap of another recipient', from: parts.bob, to: parts.mac, outcomes: ['invalid'] },
    { part: 'the MAC', from: parts.mac, to: parts.payload, outcomes: ['invalid'] },
    { part: 'the nonce of the payload', from: parts.payload, to: parts.chunk, outcomes: ['invalid'] },
    { part: 'the chunk', from: parts.chunk, to: parts.end, outcomes: ['invalid'] },
  ])('in $part makes it $outcomes', async ({ from, to, outcomes }) => {
    expect(to).toBeGreaterThan(from);
    for (let at = from; at < to; at += 1) {
      const result = await tryVector(whole, flipped(object, at, at % 8));
      expect(outcomes, `bit ${at % 8} of byte ${at}`).toContain(result.outcome);
    }
  });

  test.each(['signed', 'plain-signed'])(
    'anywhere in %s makes it unreadable, for who demands a signature',
    async (file) => {
      const signed = vector(file);
      for (let at = 0; at < signed.object.length; at += 1) {
        const result = await tryVector(signed.vector, flipped(signed.object, at, at % 8));
        expect(['invalid', 'no-key'], `bit ${at % 8} of byte ${at}`).toContain(result.outcome);
      }
    },
  );
});
