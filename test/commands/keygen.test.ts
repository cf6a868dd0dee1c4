import { execFileSync } from 'node:child_process';
import { createPrivateKey, createPublicKey, sign, verify } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Decrypter, Encrypter, identityToRecipient } from 'age-encryption';

import { keygen } from '../../src/commands/keygen.ts';
import { parseIdentities, parseRecipient, parseSigner, parseTrusted } from '../../src/seal/keys.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { needProgram } from '../harness/need.ts';

let directory: string;
let said: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'walseal-keygen-'));
  said = '';
  vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
    said += String(chunk);
    return true;
  });
});

afterEach(() => {
  vi.restoreAllMocks();
  rmSync(directory, { recursive: true });
});

const file = (name: string): string => join(directory, name);
const read = (name: string): string => readFileSync(file(name), 'utf8');

async function run(): Promise<string> {
  const lines: string[] = [];
  await keygen({ directory }, (line) => lines.push(line));
  return lines.join('\n');
}

test('the private halves are for their owner alone, whatever the umask', async () => {
  const before = process.umask(0o077);
  try {
    await run();
  } finally {
    process.umask(before);
  }
  const modes = readdirSync(directory).map((name) => [name, (statSync(file(name)).mode & 0o777).toString(8)]);
  expect(modes).toEqual([
    ['identity.txt', '600'],
    ['signing.pem', '600'],
    ['signing.pub.pem', '644'],
  ]);
});

test('the identity file is as age-keygen writes it, and age reads it', async () => {
  await run();
  const [created, comment = '', identity = '', ...rest] = read('identity.txt').split('\n');
  expect(created).toMatch(/^# created: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
  expect(identity).toMatch(/^AGE-SECRET-KEY-1[02-9AC-HJ-NP-Z]{58}$/);
  expect(rest).toEqual(['']);
  const recipient = comment.replace('# public key: ', '');
  expect(await identityToRecipient(identity)).toBe(recipient);

  const encrypter = new Encrypter();
  encrypter.addRecipient(recipient);
  const decrypter = new Decrypter();
  decrypter.addIdentity(identity);
  expect(await decrypter.decrypt(await encrypter.encrypt('wal'), 'text')).toBe('wal');
});

test.skipIf(needProgram('age'))('the age program opens with it what it sealed for it', async () => {
  await run();
  const recipient = /age1\w+/.exec(read('identity.txt'))?.[0] ?? '';
  const sealed = execFileSync('age', ['-r', recipient], { input: 'wal' });
  expect(execFileSync('age', ['-d', '-i', file('identity.txt')], { input: sealed }).toString()).toBe('wal');
});

test('the two files of the signing key belong together', async () => {
  await run();
  const key = createPrivateKey(read('signing.pem'));
  expect(key.asymmetricKeyType).toBe('ed25519');
  expect(
    verify(null, Buffer.from('wal'), createPublicKey(read('signing.pub.pem')), sign(null, Buffer.from('wal'), key)),
  ).toBe(true);
});

test('what is printed is a settings file, but for the archive, and what it names is accepted', async () => {
  const printed = await run();
  writeFileSync(file('walseal.toml'), `${printed}\n[[archive]]\nurl = "file:///archive"\n`);
  const { encryption, signing } = await loadSettings(file('walseal.toml'), {});
  if (encryption.kind === 'none') throw new Error('not encrypted');
  expect(encryption.recipients.map(parseRecipient)).toHaveLength(1);
  expect(parseIdentities(readFileSync(encryption.identityFile ?? '', 'utf8'), 'identity')).toHaveLength(1);
  const signer = parseSigner(readFileSync(signing.keyFile ?? '', 'utf8'), 'signing');
  expect(parseTrusted([{ path: 'public', text: read('signing.pub.pem') }])).toEqual(parseTrusted([], signer));
  expect(signing.trusted).toEqual([]);
});

test('no private half is printed, and where each belongs is said', async () => {
  const printed = await run();
  const secrets = [read('identity.txt').split('\n')[2] ?? '', read('signing.pem').split('\n')[1] ?? ''];
  for (const secret of secrets) {
    expect(secret.length).toBeGreaterThan(40);
    expect(printed + said).not.toContain(secret);
  }
  for (const name of readdirSync(directory)) expect(said).toContain(file(name));
});

test('two runs make different keys', async () => {
  await run();
  const first = [read('identity.txt'), read('signing.pem')];
  for (const name of readdirSync(directory)) rmSync(file(name));
  await run();
  expect(read('identity.txt')).not.toBe(first[0]);
  expect(read('signing.pem')).not.toBe(first[1]);
});

describe('never over a file that is there', () => {
  test.each(['identity.txt', 'signing.pem', 'signing.pub.pem'])('%s', async (name) => {
    writeFileSync(file(name), 'precious');
    await expect(run()).rejects.toMatchObject({ kind: 'usage', message: `${file(name)} is there already` });
    expect(readdirSync(directory)).toEqual([name]);
    expect(read(name)).toBe('precious');
  });

  test('a link to nowhere', async () => {
    symlinkSync(file('elsewhere'), file('signing.pem'));
    await expect(run()).rejects.toMatchObject({ kind: 'usage' });
    expect(readdirSync(directory)).toEqual(['signing.pem']);
  });
});

test('a directory that is not there is named', async () => {
  const gone = file('gone');
  await expect(keygen({ directory: gone }, () => undefined)).rejects.toMatchObject({
    kind: 'unwritable',
    message: `cannot write keys into ${gone}: ENOENT`,
  });
});

test('a directory that is a file leaves that file alone', async () => {
  writeFileSync(file('taken'), 'precious');
  await expect(keygen({ directory: file('taken') }, () => undefined)).rejects.toMatchObject({ kind: 'unwritable' });
  expect(read('taken')).toBe('precious');
});
