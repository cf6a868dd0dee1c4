/**
 * Makes test/fixtures/seal: the objects of docs/FORMAT.md's test vectors, with their keys and what must become of
 * each, and the table of them at the end of that document. All that is random comes from a seed, so that the same sources and the same zstd give the same bytes.
 *
 *     node scripts/make-seal-vectors.ts
 */
import { createHash, createPrivateKey, createPublicKey } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { encodeBech32 } from '../src/seal/bech32.ts';
import { X25519Identity } from '../src/seal/x25519.ts';
import { vectorObjects } from './seal-vectors/objects.ts';
import { random } from './seal-vectors/random.ts';
import { withTable } from './seal-vectors/table.ts';

const DOCUMENT = join(import.meta.dirname, '..', 'docs', 'FORMAT.md');
const DIRECTORY = join(import.meta.dirname, '..', 'test', 'fixtures', 'seal');
/** PKCS#8 and SPKI of Ed25519 (RFC 8410) before their 32 bytes. */
const ED25519_LEAD = Buffer.from('302e020100300506032b657004220420', 'hex');

rmSync(DIRECTORY, { recursive: true, force: true });
mkdirSync(DIRECTORY, { recursive: true });

for (const who of ['alice', 'bob', 'stranger']) {
  const secret = random(`identity ${who}`, 32);
  const { recipient } = new X25519Identity(secret);
  const identity = encodeBech32('AGE-SECRET-KEY-', secret);
  put(`${who}.identity.txt`, `# a test key: never use it\n# public key: ${recipient.text}\n${identity}\n`);
}
for (const host of ['host', 'old-host', 'other-host']) {
  const key = createPrivateKey({
    key: Buffer.concat([ED25519_LEAD, random(`signing ${host}`, 32)]),
    format: 'der',
    type: 'pkcs8',
  });
  put(`${host}.signing.pem`, key.export({ format: 'pem', type: 'pkcs8' }));
  put(`${host}.public.pem`, createPublicKey(key).export({ format: 'pem', type: 'spki' }));
}

const vectors = await vectorObjects();
for (const { file, object } of vectors) put(file, object);
const manifest = vectors.map(({ object, ...vector }) => ({
  ...vector,
  sha256: createHash('sha256').update(object).digest('hex'),
}));
put('vectors.json', `[\n${manifest.map((vector) => JSON.stringify(vector)).join(',\n')}\n]\n`);
writeFileSync(DOCUMENT, withTable(readFileSync(DOCUMENT, 'utf8'), vectors));

function put(name: string, content: string | Uint8Array): void {
  writeFileSync(join(DIRECTORY, name), content);
}
