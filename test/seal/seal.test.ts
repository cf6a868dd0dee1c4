import { createHash, randomBytes } from 'node:crypto';
import {
  appendFileSync,
  openSync,
  closeSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { fingerprint } from '../../src/seal/fingerprint.ts';
import { generateSigningKey, parseSigner, parseTrusted } from '../../src/seal/keys.ts';
import { seal } from '../../src/seal/seal.ts';
import { openSource, readUnchanged } from '../../src/seal/source.ts';
import { inspect, unseal } from '../../src/seal/unseal.ts';
import { crc32c } from '../../src/wal/crc32c.ts';
import { fileToSeal, gather, NAME, newKeys, opened, scratchDirectory, SYSTEM, walName } from './files.ts';
import { inPieces } from './vectors.ts';

const directory = scratchDirectory();
const { identities, recipients } = newKeys();
const CHUNK = 65_536;
const LARGE_BYTES = 64 * 1024 * 1024 + 1;

describe('a round trip', () => {
  const lengths = fc.oneof(
    fc.nat(200),
    // Incompressible content makes a payload a little longer: its ends fall on all sides of those of the chunks.
    fc.integer({ min: CHUNK - 150, max: CHUNK + 50 }),
    fc.integer({ min: 16 * CHUNK - 250, max: 16 * CHUNK + 50 }),
  );

  test('gives the file back, whatever its length, however it arrives', async () => {
    await fc.assert(
      fc.asyncProperty(
        lengths,
        fc.boolean(),
        fc.integer({ min: 500, max: 100_000 }),
        async (length, encrypted, piece) => {
          const content = randomBytes(length);
          const sealed = await seal(fileToSeal(directory, content), { recipients: encrypted ? recipients : [] });
          const object = await gather(sealed.body.open());
          expect(object.length).toBe(sealed.body.length);
          expect((await opened(object, { identities }, piece)).equals(content)).toBe(true);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('works for every chunk end, byte by byte', async () => {
    for (let length = CHUNK - 100; length < CHUNK - 60; length += 1) {
      const content = randomBytes(length);
      const sealed = await seal(fileToSeal(directory, content), { recipients });
      expect((await opened(await gather(sealed.body.open()), { identities })).equals(content)).toBe(true);
    }
  });

  test('keeps the label true', async () => {
    const content = randomBytes(1000);
    const input = fileToSeal(directory, content);
    const sealed = await seal(input, { recipients });
    const sha256 = createHash('sha256').update(content).digest();
    expect(sealed.fileSha256).toEqual(sha256);
    expect(sealed.fingerprint).toBe(fingerprint(sha256, input.nonce));
    expect(sealed.label).toMatchObject({ name: NAME.name, systemId: SYSTEM, fingerprint: sealed.fingerprint });
  });

  test('never seals two files under one key', async () => {
    const input = fileToSeal(directory, randomBytes(100));
    const [one, other] = [await seal(input, { recipients }), await seal(input, { recipients })];
    expect(one.label.fingerprint).toBe(other.label.fingerprint);
    expect(one.label.payloadSha256).not.toEqual(other.label.payloadSha256);
  });
});

describe('a body', () => {
  test('gives the same bytes as often as needed, and their digests', async () => {
    const { body } = await seal(fileToSeal(directory, randomBytes(70_001)), { recipients });
    const object = await gather(body.open());
    expect(await gather(body.open())).toEqual(object);
    expect(await body.digest('sha256')).toEqual(createHash('sha256').update(object).digest());
    expect(await body.digest('md5')).toEqual(createHash('md5').update(object).digest());
    expect(Buffer.from(await body.digest('crc32c')).readUInt32BE()).toBe(crc32c(object));
  });
});

describe('a copy read back', () => {
  const { privatePem } = generateSigningKey();
  const signer = parseSigner(privatePem, 'a test');

  test.each([{ recipients }, { recipients: [] }])('is taken only if it is what was sent', async (keys) => {
    const input = fileToSeal(directory, randomBytes(500));
    const sealed = await seal(input, { ...keys, signer });
    const object = await gather(sealed.body.open());
    await sealed.verifyCopy(inPieces(object, 100));
    for (let at = 0; at < object.length; at += 7) {
      const changed = Buffer.from(object);
      changed[at] = (changed[at] ?? 0) ^ 1;
      await expect(sealed.verifyCopy(inPieces(changed, 1000)), `byte ${at}`).rejects.toMatchObject({ kind: 'damaged' });
    }
    const wrong = [object.subarray(0, -1), Buffer.concat([object, Buffer.from([0])]), Buffer.alloc(0)];
    const other = await gather((await seal(input, keys)).body.open());
    for (const copy of [...wrong, ...(keys.recipients.length > 0 ? [other] : [])]) {
      await expect(sealed.verifyCopy(inPieces(copy, 1000))).rejects.toMatchObject({ kind: 'damaged' });
    }
  });

  test('passes on what the store says', async () => {
    const sealed = await seal(fileToSeal(directory, randomBytes(500)), { recipients });
    const broken = new Error('connection reset');
    async function* cut(): AsyncGenerator<Uint8Array> {
      yield* inPieces(await gather(sealed.body.open()), 400);
      throw broken;
    }
    await expect(sealed.verifyCopy(cut())).rejects.toBe(broken);
  });
});

describe('a large file', () => {
  /** Much the same as a large one, where as little is kept in memory; and read in a tenth of the time. */
  const SMALLER_BYTES = 6 * 1024 * 1024 + 1;

  function largeFile(bytes = SMALLER_BYTES): string {
    const path = join(directory, `large-${randomBytes(4).toString('hex')}`);
    writeFileSync(path, randomBytes(300_000));
    truncateSync(path, bytes);
    return path;
  }
  const input = (path: string) => {
    const { size: length } = statSync(path);
    const kept = length === SMALLER_BYTES ? { keptBytes: length - 1 } : {};
    return { ...fileToSeal(directory, Buffer.alloc(0)), path, length, ...kept };
  };

  test('is sealed again for each use, and comes out the same', async () => {
    const sealed = await seal(input(largeFile(LARGE_BYTES)), { recipients });
    const object = await gather(sealed.body.open());
    expect(object.length).toBe(sealed.body.length);
    expect(await sealed.body.digest('sha256')).toEqual(createHash('sha256').update(object).digest());
    await sealed.verifyCopy(inPieces(object, CHUNK));
    expect(
      createHash('sha256')
        .update(await opened(object, { identities }))
        .digest(),
    ).toEqual(sealed.fileSha256);
  });

  test.each([
    { change: 'a byte of it', at: 100_000 },
    { change: 'its last byte', at: SMALLER_BYTES - 1 },
  ])('that changes ($change) after it was measured never comes out whole', async ({ at }) => {
    const path = largeFile();
    const sealed = await seal(input(path), { recipients });
    const file = openSync(path, 'r+');
    writeSync(file, Buffer.from([(readFileSync(path)[at] ?? 0) ^ 0xff]), 0, 1, at);
    closeSync(file);
    let length = 0;
    const all = (async () => {
      for await (const piece of sealed.body.open()) length += piece.length;
    })();
    await expect(all).rejects.toMatchObject({ kind: 'invalid' });
    await expect(all).rejects.toThrow('changed');
    expect(length).toBeLessThan(sealed.body.length);
  });

  test('that changes between its digest and its payload is refused', async () => {
    const path = largeFile();
    const source = await openSource(path, SMALLER_BYTES);
    const file = openSync(path, 'r+');
    writeSync(file, Buffer.from('x'), 0, 1, 100_000);
    closeSync(file);
    await expect(gather(readUnchanged(source, path))).rejects.toThrow('changed');
  });

  test('that grows after it was measured never comes out whole', async () => {
    const path = largeFile();
    const sealed = await seal(input(path), { recipients: [] });
    appendFileSync(path, 'x');
    await expect(gather(sealed.body.open())).rejects.toMatchObject({ kind: 'invalid' });
  });
});

describe('a file that is not as announced', () => {
  test.each([-1, 1])('is refused (%d bytes too many)', async (more) => {
    const input = fileToSeal(directory, randomBytes(100));
    await expect(seal({ ...input, length: input.length - more }, { recipients })).rejects.toMatchObject({
      kind: 'invalid',
    });
  });

  test('is refused where it is larger than its kind can be', async () => {
    const input = fileToSeal(directory, Buffer.alloc(0), walName('00000002.history'));
    await expect(seal({ ...input, length: 2 ** 24 + 1 }, { recipients })).rejects.toMatchObject({ kind: 'invalid' });
  });

  test('is an unwritable place where it cannot be read', async () => {
    const input = fileToSeal(directory, Buffer.alloc(0));
    const sealing = seal({ ...input, path: join(directory, 'none') }, { recipients });
    await expect(sealing).rejects.toMatchObject({ kind: 'unwritable' });
    await expect(sealing).rejects.toThrow('ENOENT');
  });
});

describe('recipients', () => {
  test('can be many, up to a header of 64 KiB', async () => {
    const input = fileToSeal(directory, Buffer.from('x'));
    const many = (count: number) => Array.from({ length: count }, () => recipients).flat();
    const sealed = await seal(input, { recipients: many(500) });
    expect((await opened(await gather(sealed.body.open()), { identities })).toString()).toBe('x');
    await expect(seal(input, { recipients: many(800) })).rejects.toMatchObject({ kind: 'usage' });
  });
});

describe('inspect', () => {
  const host = generateSigningKey();
  const signer = parseSigner(host.privatePem, 'a test');
  const expected = { name: NAME, systemId: SYSTEM };

  test('says what an object is, without a private key', async () => {
    const sealed = await seal(fileToSeal(directory, randomBytes(1000)), { recipients, signer });
    const object = await gather(sealed.body.open());
    const trusted = parseTrusted([{ text: host.publicPem, path: 'a test' }]);
    expect(await inspect(inPieces(object, 99), expected, trusted)).toEqual({
      label: sealed.label,
      payloadMatches: true,
      trust: 'trusted',
      size: object.length,
    });
    expect(await inspect(inPieces(object, 99), expected, undefined)).toMatchObject({ trust: 'not-demanded' });
    expect(await inspect(inPieces(object, 99), expected, new Set())).toMatchObject({ trust: 'untrusted' });
    expect(await inspect(inPieces(object, 99), expected, parseTrusted([], signer))).toMatchObject({ trust: 'trusted' });
  });

  test('sees a payload that is cut, longer or changed', async () => {
    const object = await gather((await seal(fileToSeal(directory, randomBytes(1000)), { recipients })).body.open());
    const changed = Buffer.from(object);
    changed[object.length - 1] = (changed[object.length - 1] ?? 0) ^ 1;
    for (const wrong of [object.subarray(0, -1), Buffer.concat([object, Buffer.from([0])]), changed]) {
      const found = await inspect(inPieces(wrong, 1000), expected, undefined);
      expect(found).toMatchObject({ payloadMatches: false, size: wrong.length });
    }
  });

  test('refuses the label of another file or cluster', async () => {
    const object = await gather((await seal(fileToSeal(directory, randomBytes(10)), { recipients })).body.open());
    const other = { name: walName('000000010000000000000002'), systemId: SYSTEM };
    await expect(inspect(inPieces(object, 99), other, undefined)).rejects.toMatchObject({ kind: 'invalid' });
  });
});

describe('a source of bytes', () => {
  test.each(['early', 'late'])('is told when nothing more is wanted (%s)', async (when) => {
    let ended = false;
    const object = await gather((await seal(fileToSeal(directory, randomBytes(300_000)), { recipients })).body.open());
    object[when === 'early' ? 30 : 100_000] = 0;
    async function* source(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield* inPieces(object, 1000);
      } finally {
        ended = true;
      }
    }
    const all = inspectOrOpen(source());
    await expect(all).rejects.toMatchObject({ kind: 'invalid' });
    expect(ended).toBe(true);
  });

  async function inspectOrOpen(bytes: AsyncIterable<Uint8Array>): Promise<void> {
    await unseal(bytes, {}, { identities, trusted: undefined }, () => undefined);
  }

  test('passes on its own errors and those of the writer', async () => {
    const object = await gather((await seal(fileToSeal(directory, randomBytes(3000)), { recipients })).body.open());
    const broken = new Error('disk full');
    const writing = unseal(inPieces(object, 1000), {}, { identities, trusted: undefined }, () =>
      Promise.reject(broken),
    );
    await expect(writing).rejects.toBe(broken);
    async function* cut(): AsyncGenerator<Uint8Array> {
      yield object.subarray(0, 2000);
      throw broken;
    }
    await expect(inspectOrOpen(cut())).rejects.toBe(broken);
  });
});
