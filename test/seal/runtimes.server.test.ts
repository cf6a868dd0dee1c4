import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { beforeAll, describe, expect, test } from 'vitest';

import { bunOf } from '../../scripts/build.ts';
import { chacha as chachaOfNode } from '../../src/seal/chacha-node.ts';
import { seal } from '../../src/seal/seal.ts';
import { zstd as zstdOfAddon } from '../../src/seal/zstd-napi.ts';
import { zstd as zstdOfRuntime } from '../../src/seal/zstd-runtime.ts';
import { fileToSeal, gather, newKeys, opened, scratchDirectory } from './files.ts';
import { aeadDigests, type RuntimeReport } from './runtime-report.ts';
import { inPieces, readVectors } from './vectors.ts';

const CHECKOUT = dirname(dirname(import.meta.dirname));
const directory = scratchDirectory();
const keys = newKeys();
const contents = {
  nothing: Buffer.alloc(0),
  line: Buffer.from('a history file\n'),
  noise: randomBytes(300_000),
  zeros: Buffer.alloc(3_000_000),
  // As many bytes as the buffers have, that don't get fewer.
  pieces: randomBytes(3 * 1024 * 1024),
};
const cases = Object.entries(contents).flatMap(([what, content]) => [
  { what, content, kind: 'age', recipients: keys.recipients },
  { what, content, kind: 'plain', recipients: [] },
]);

/** The executable's runtime does the same work as this one: each opens what the other sealed. */
describe('bun and Node', () => {
  let report: RuntimeReport;

  beforeAll(async () => {
    writeFileSync(join(directory, 'identity.txt'), keys.text);
    for (const [what, content] of Object.entries(contents)) writeFileSync(join(directory, `${what}.content`), content);
    for (const { what, content, kind, recipients } of cases) {
      const sealed = await seal(fileToSeal(directory, content), { recipients });
      writeFileSync(join(directory, `${what}.${kind}.by-node`), await gather(sealed.body.open()));
    }
    execFileSync(bunOf(CHECKOUT), [fileURLToPath(new URL('in-bun.ts', import.meta.url)), directory], {
      stdio: 'inherit',
    });
    report = JSON.parse(readFileSync(join(directory, 'report.json'), 'utf8')) as RuntimeReport;
  }, 60_000);

  test('have the same ChaCha20-Poly1305', async () => {
    expect(report.aead).toEqual(await aeadDigests(chachaOfNode));
  });

  test('are what was tried: bun decompresses into buffers that are used again', () => {
    expect(report.reusesBuffers).toBe(true);
  });

  test.each(readVectors().map((vector, i) => ({ ...vector, i })))('agree on $file, $about', ({ i, ...vector }) => {
    const result = report.vectors[i];
    expect(result).toMatchObject({ outcome: vector.outcome, ...vector.content });
    if (result !== undefined && 'fact' in result) expect(result.fact).toContain(vector.fact);
  });

  test.each(cases)('open what the other sealed: $what, $kind', async ({ what, content, kind }) => {
    const byBun = readFileSync(join(directory, `${what}.content.${kind}.by-bun`));
    expect((await opened(byBun, { identities: keys.identities }, 10_000)).equals(content)).toBe(true);
    const sha256 = createHash('sha256').update(content).digest('hex');
    expect(report.opened[`${what}.${kind}.by-node`]).toBe(sha256);
  });
});

describe('the two ways to zstd', () => {
  const ways = [
    { from: zstdOfAddon, to: zstdOfRuntime, names: 'addon to runtime' },
    { from: zstdOfRuntime, to: zstdOfAddon, names: 'runtime to addon' },
  ];
  const all = Object.entries(contents).flatMap(([what, content]) => ways.map((way) => ({ ...way, what, content })));

  test.each(all)('understand each other: $names, $what', async ({ from, to, content }) => {
    const frame = await gather(from.compress(inPieces(content, 100_000), { level: 3, size: content.length }));
    expect((await gather(to.decompress(inPieces(frame, 999)))).equals(content)).toBe(true);
  });
});
