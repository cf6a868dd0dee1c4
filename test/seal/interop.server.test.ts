import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import { describe, expect, test } from 'vitest';
import { decompress } from 'zstd-napi';

import { ageHeaderLength, parseAgeHeader } from '../../src/seal/age-header.ts';
import { openFileKey } from '../../src/seal/file-key.ts';
import {
  generateIdentity,
  generateSigningKey,
  parseIdentities,
  parseRecipient,
  parseSigner,
} from '../../src/seal/keys.ts';
import { seal } from '../../src/seal/seal.ts';
import { decryptChunks, payloadKey } from '../../src/seal/stream.ts';
import { needProgram } from '../harness/need.ts';
import { fileToSeal, gather, newKeys, opened, scratchDirectory } from './files.ts';
import { inPieces, readVectorFile } from './vectors.ts';

const directory = scratchDirectory();
const FILE_FRAME_BYTES = 64;
const contents = [
  { what: 'nothing', content: Buffer.alloc(0) },
  { what: 'a line', content: Buffer.from('1\t0/5000098\tno recovery target specified\n') },
  { what: 'three chunks of noise', content: randomBytes(150_000) },
  { what: 'a megabyte of zeros', content: Buffer.alloc(1_000_000) },
];

function written(content: Uint8Array): string {
  const path = join(directory, randomBytes(8).toString('hex'));
  writeFileSync(path, content);
  return path;
}

describe.each(contents)('with $what', ({ content }) => {
  test('the age-encryption package opens what we seal', async () => {
    const keys = newKeys();
    const other = newKeys();
    const sealed = await seal(fileToSeal(directory, content), {
      recipients: [...other.recipients, ...keys.recipients],
    });
    const decrypter = new Decrypter();
    decrypter.addIdentity(keys.text);
    const plaintext = await decrypter.decrypt(await gather(sealed.body.open()));
    expect(decompress(plaintext.subarray(FILE_FRAME_BYTES))).toEqual(content);
  });

  test('we open what the age-encryption package encrypts', async () => {
    const identity = await generateX25519Identity();
    const encrypter = new Encrypter();
    encrypter.addRecipient(await identityToRecipient(await generateX25519Identity()));
    encrypter.addRecipient(await identityToRecipient(identity));
    const file = Buffer.from(await encrypter.encrypt(content));
    expect(await openAge(file, identity)).toEqual(content);
  });

  test.skipIf(needProgram('age') || needProgram('zstd'))('age and zstd open what we seal', async () => {
    const keys = newKeys();
    const { privatePem } = generateSigningKey();
    const sealed = await seal(fileToSeal(directory, content), {
      recipients: keys.recipients,
      signer: parseSigner(privatePem, 'a test'),
    });
    const object = written(await gather(sealed.body.open()));
    const identity = written(Buffer.from(`${keys.text}\n`));
    const command = 'age -d -i "$1" "$2" | zstd -d';
    expect(execFileSync('sh', ['-c', command, 'sh', identity, object])).toEqual(content);
  });

  test.skipIf(needProgram('zstd'))('zstd alone opens what is not encrypted', async () => {
    const sealed = await seal(fileToSeal(directory, content), { recipients: [] });
    expect(execFileSync('zstd', ['-d'], { input: await gather(sealed.body.open()) })).toEqual(content);
  });

  test.skipIf(needProgram('age'))('we open what age encrypts', async () => {
    const { identity, recipient } = generateIdentity();
    const file = execFileSync('age', ['-r', recipient], { input: content });
    expect(await openAge(file, identity)).toEqual(content);
  });
});

describe.skipIf(needProgram('age-keygen'))('age-keygen', () => {
  test('makes identity files that we read', async () => {
    const path = join(directory, 'identity.txt');
    execFileSync('age-keygen', ['-o', path], { stdio: 'ignore' });
    const [identity] = parseIdentities(readFileSync(path, 'utf8'), path);
    const recipient = execFileSync('age-keygen', ['-y', path]).toString().trim();
    expect(identity?.recipient.text).toBe(recipient);
    const sealed = await seal(fileToSeal(directory, Buffer.from('x')), { recipients: [parseRecipient(recipient)] });
    const object = await gather(sealed.body.open());
    expect((await opened(object, { identities: identity === undefined ? [] : [identity] })).toString()).toBe('x');
  });

  test('reads the identities that we make', () => {
    const { identity, recipient } = generateIdentity();
    const path = written(Buffer.from(`# a comment\n${identity}\n`));
    expect(execFileSync('age-keygen', ['-y', path]).toString().trim()).toBe(recipient);
  });
});

describe.skipIf(needProgram('openssl'))('openssl', () => {
  test('makes signing keys that we read, with the same public half', () => {
    const pem = execFileSync('openssl', ['genpkey', '-algorithm', 'ed25519']);
    const der = execFileSync('openssl', ['pkey', '-pubout', '-outform', 'DER'], { input: pem });
    expect(parseSigner(pem.toString(), 'a test').publicKey).toBe(der.subarray(-32).toString('hex'));
  });

  test('reads the signing keys that we make', () => {
    const { privatePem, publicPem } = generateSigningKey();
    expect(execFileSync('openssl', ['pkey', '-pubout'], { input: privatePem }).toString()).toBe(publicPem);
  });
});

describe.skipIf(['age', 'zstd', 'openssl', 'xxd', 'awk'].map(needProgram).includes(true))(
  'what the format says to type',
  () => {
    const document = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'FORMAT.md'), 'utf8');
    const section = /^## 9\..*?(?=^## 10\.)/ms.exec(document)?.[0] ?? '';
    const commands = [...section.matchAll(/^ {4}(.*)$/gm)].map((match) => match[1] ?? '');
    const [openAgeFile, openPlain, digest, labelOfAge, labelOfPlain, payload, ...signature] = commands;
    const content = 'What a segment holds is of no concern to its seal.\n'.repeat(6);
    const sha256 = createHash('sha256').update(content).digest('hex');

    /** Runs a line as it stands, in a directory where the files have the names that it uses. */
    function type(object: string, line = 'false'): string {
      writeFileSync(join(directory, 'OBJECT'), readVectorFile(`${object}.sealed`));
      writeFileSync(join(directory, 'identity.txt'), readVectorFile('alice.identity.txt'));
      writeFileSync(join(directory, 'host.pem'), readVectorFile('host.public.pem'));
      return execFileSync('sh', ['-c', line], {
        cwd: directory,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      });
    }
    const made = (name: string): string => readFileSync(join(directory, name), 'utf8');

    test('opens an object', () => {
      type('encrypted', openAgeFile);
      expect(made('FILE')).toBe(content);
      type('plain', openPlain);
      expect(made('FILE')).toBe(content);
      expect(type('encrypted', digest).replaceAll(/\s/g, '')).toBe(sha256);
    });

    test('shows the label, checks the payload and the signature', () => {
      type('plain', labelOfPlain);
      expect(made('LABEL')).toMatch(/^walseal label v1\n(?:.*\n){4}$/);
      type('plain-signed', labelOfPlain);
      expect(made('LABEL')).toMatch(/^walseal label v1\n(?:.*\n){5}$/);
      type('signed', `${labelOfAge ?? 'false'} || true`);
      const [, length = '', announced = ''] = /^payload (\d+) (.*)$/m.exec(made('LABEL')) ?? [];
      expect(type('signed', payload?.replace(' N ', ` ${length} `))).toBe(`${announced}  -\n`);
      expect(type('signed', signature.join('\n'))).toContain('Verified Successfully');
    });
  },
);

/** What is in an age file; ours differ only in their first stanza. */
async function openAge(file: Buffer, identity: string): Promise<Buffer> {
  const end = ageHeaderLength(file) ?? 0;
  const fileKey = await openFileKey(parseAgeHeader(file.subarray(0, end)), parseIdentities(identity, 'a test'));
  const nonce = file.subarray(end, end + 16);
  return gather(decryptChunks(await payloadKey(fileKey, nonce), inPieces(file.subarray(end + 16), 1000)));
}
