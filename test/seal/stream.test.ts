import { randomBytes } from 'node:crypto';

import { describe, expect, test } from 'vitest';

import { decryptChunks, encryptChunks, payloadKey } from '../../src/seal/stream.ts';
import { gather } from './files.ts';
import { inPieces } from './vectors.ts';

const CHUNK = 65_536;
const key = await payloadKey(randomBytes(16), randomBytes(16));

/** One chunk as its writer says that it is: where it stands, and whether it is the last. */
function chunk(index: number, last: boolean, plaintext: Uint8Array): Promise<Uint8Array> {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(index, 7);
  nonce.writeUInt8(last ? 1 : 0, 11);
  return key.encrypt(nonce, plaintext);
}

async function open(...chunks: readonly Promise<Uint8Array>[]): Promise<Buffer> {
  return gather(decryptChunks(key, inPieces(Buffer.concat(await Promise.all(chunks)), 10_000)));
}

describe('chunks', () => {
  const full = randomBytes(CHUNK);
  const rest = randomBytes(10);

  test('are a counter and a mark of the last one', async () => {
    const bytes = Buffer.concat([full, full, rest]);
    const made = await gather(encryptChunks(key, inPieces(bytes, 999)));
    const expected = await Promise.all([chunk(0, false, full), chunk(1, false, full), chunk(2, true, rest)]);
    expect(made.equals(Buffer.concat(expected))).toBe(true);
    expect((await open(chunk(0, false, full), chunk(1, true, full))).equals(Buffer.concat([full, full]))).toBe(true);
  });

  test.each([
    ['without a last one', () => [chunk(0, false, full), chunk(1, false, rest)]],
    ['with a last one in the middle', () => [chunk(0, true, full), chunk(1, true, rest)]],
    ['in the wrong order', () => [chunk(1, false, full), chunk(0, true, full)]],
    ['with one missing', () => [chunk(1, true, rest)]],
    ['with a short one in the middle', () => [chunk(0, false, rest), chunk(1, true, rest)]],
    ['with an empty last one', () => [chunk(0, false, full), chunk(1, true, new Uint8Array(0))]],
    ['of no bytes at all', () => []],
  ])('are refused %s, though each is authentic', async (_, make) => {
    await expect(open(...make())).rejects.toMatchObject({ kind: 'invalid' });
  });
});
