import fc from 'fast-check';
import { expect, test } from 'vitest';

import { parse } from 'smol-toml';

import { checkSettings } from '../../src/settings/check.ts';
import { Failure } from '../../src/exit.ts';
import { LEAST, refusal } from './write.ts';

const ARCHIVE = '[[archive]]\nurl = "file:///archive"\n';

test.each([
  ['a typing error', `keep_backup = 2\n${LEAST}`, 'unknown key keep_backup; the nearest known one is keep_backups'],
  [
    'one in a table',
    `${LEAST}[fetch]\ndeadlin = "5m"\n`,
    'unknown key deadlin in [fetch]; the nearest known one is deadline',
  ],
  ['one in a list', `${LEAST}regoin = "x"\n`, 'unknown key regoin in [[archive]] 1; the nearest known one is region'],
  [
    'one of a table',
    `${LEAST}[compresion]\nlevel = 3\n`,
    'unknown key compresion; the nearest known one is compression',
  ],
  [
    'a key in the wrong table',
    `${ARCHIVE}encryption = "none"\n`,
    'unknown key encryption in [[archive]] 1; the nearest known one, encryption, stands above the first table',
  ],
  ['one of an object', `${LEAST}__proto__ = 1\n`, 'unknown key __proto__ in [[archive]] 1'],
  ['a plain number', `deadline = 60\n${LEAST}`, 'deadline is 60: a duration from "100ms" to "1d" is expected'],
  ['a duration out of range', `deadline = "2d"\n${LEAST}`, 'deadline is "2d": a duration from "100ms" to "1d"'],
  ['a wrong choice', `verify = "yes"\n${LEAST}`, 'verify is "yes": "checksum" or "readback" is expected'],
  [
    'a number out of range',
    `${LEAST}[compression]\nlevel = 22\n`,
    'level in [compression] is 22: a whole number from 1 to 19',
  ],
  ['an empty pattern', `keep = [""]\n${LEAST}`, 'keep has an empty pattern'],
  ['a pattern that is no list', `keep = "x"\n${LEAST}`, 'keep is "x": a list of label or path patterns is expected'],
  ['a fraction', `keep_backups = 1.5\n${LEAST}`, 'keep_backups is 1.5: a whole number from 1'],
  ['a date', `${LEAST}required = 2026-01-01\n`, 'required in [[archive]] 1 is a date: true or false is expected'],
  [
    'single brackets',
    'encryption = "none"\n[archive]\nurl = "file:///a"\n',
    '[[archive]] is written with two pairs of brackets',
  ],
  ['a table that is none', `fetch = 3\n${LEAST}`, '[fetch] is expected to be a table'],
  ['an archive without its URL', 'encryption = "none"\n[[archive]]\n', 'url is missing in [[archive]] 1'],
  ['no archive', 'encryption = "none"\n', 'no archive is named'],
  [
    'an archive twice',
    `${LEAST}[[archive]]\nurl = "file:///archive/"\n`,
    'file:///archive is named by more than one [[archive]]',
  ],
  [
    'an option of another store',
    `${LEAST}region = "x"\n`,
    'region in [[archive]] 1 is for s3://, and file:///archive is none',
  ],
  ['neither secret nor open', ARCHIVE, 'neither recipients in [encryption] nor encryption = "none" is said'],
  ['nobody who may read', `${ARCHIVE}[encryption]\nrecipients = []\n`, 'neither recipients in [encryption]'],
  ['another word than none', `encryption = "off"\n${ARCHIVE}`, 'encryption is neither "none" nor a table'],
  [
    'a recipient that is a path',
    `${ARCHIVE}[encryption]\nrecipients = ["id.txt"]\n`,
    'recipients[0] in [encryption] is "id.txt"',
  ],
  ['a home directory', `${LEAST}[signing]\nkey_file = "~/k.pem"\n`, 'key_file starts with ~, which is not expanded'],
  ['an empty path', `${LEAST}[signing]\nkey_file = ""\n`, 'key_file in [signing] is "": a path is expected'],
  [
    'an offline storage class',
    'encryption = "none"\n[[archive]]\nurl = "s3://b"\nstorage_class = "DEEP_ARCHIVE"\n',
    'storage_class in [[archive]] 1 is DEEP_ARCHIVE, which is not read at once',
  ],
  [
    'a key without its encryption',
    'encryption = "none"\n[[archive]]\nurl = "s3://b"\nkms_key = "k"\nsse = "AES256"\n',
    'kms_key in [[archive]] 1 has no effect without sse = "aws:kms"',
  ],
  ['a backup nowhere', `${LEAST}[[backups]]\n`, '[[backups]] 1 has none of url and history_files'],
])('%s is refused', async (_, text, fact) => {
  expect((await refusal(text)).fact).toContain(fact);
});

test('the same bucket at two endpoints is two archives', () => {
  const raw = parse(
    'encryption = "none"\n[[archive]]\nurl = "s3://b"\n[[archive]]\nurl = "s3://b"\nendpoint = "http://h"\n',
  );
  expect(checkSettings('/x', raw).archives).toHaveLength(2);
});

test('one attempt tells everything that is wrong', async () => {
  const { fact } = await refusal(
    'deadline = 60\nverfy = "x"\n[fetch]\non_gap = 1\n[[archive]]\nurl = "ftp://x"\n[signing]\ntrusted = "x"\n',
  );
  expect(fact).toMatch(/^\S+walseal\.toml has 6 problems:\n/);
  for (const word of ['verfy', 'deadline is 60', 'on_gap', 'ftp://', 'trusted', 'neither recipients'])
    expect(fact).toContain(word);
});

test('both ways out of a missing encryption are shown', async () => {
  const { hint } = await refusal(ARCHIVE);
  expect(hint).toContain('recipients = ["age1..."] in [encryption]');
  expect(hint).toContain('encryption = "none" above the first table');
});

test.each([
  ['a private key as recipient', `${ARCHIVE}[encryption]\nrecipients = ["AGE-SECRET-KEY-1HUSH"]\n`],
  ['a private key in lower case', `${ARCHIVE}[encryption]\nrecipients = ["age-secret-key-1HUSH"]\n`],
  ['a private key as path', `${ARCHIVE}[encryption]\nidentity_file = "AGE-SECRET-KEY-1HUSH"\n`],
  ['a PEM as path', `${LEAST}[signing]\nkey_file = "-----BEGIN PRIVATE KEY-----HUSH"\n`],
  ['a password in a URL', 'encryption = "none"\n[[archive]]\nurl = "s3://me:HUSH@bucket"\n'],
  ['a password in an endpoint', 'encryption = "none"\n[[archive]]\nurl = "s3://b"\nendpoint = "https://me:HUSH@h"\n'],
  ['a token in a query', 'encryption = "none"\n[[archive]]\nurl = "azure://c?sig=HUSH"\n'],
  ['a credential as unknown key', `${LEAST}secret_access_key = "HUSH"\n`],
  ['a private key as key', `${LEAST}AGE-SECRET-KEY-1HUSH = 1\n`],
  ['a table of them', `${LEAST}[credentials]\nkey = "HUSH"\n`],
])('%s is not shown', async (_, text) => {
  const { shown } = await refusal(text);
  expect(shown).not.toContain('HUSH');
  expect(shown).not.toContain('hush');
});

test('any file at all ends with settings or with a Failure', () => {
  const keys = fc.constantFrom(
    'deadline',
    'archive',
    'encryption',
    'fetch',
    'signing',
    'backups',
    'agent',
    'url',
    '__proto__',
    'x',
  );
  const value = fc.jsonValue({ maxDepth: 1 });
  const table = fc.dictionary(keys, value, { maxKeys: 4 });
  const file = fc.dictionary(keys, fc.oneof(value, table, fc.array(table, { maxLength: 3 })), { maxKeys: 6 });
  fc.assert(
    fc.property(file, (raw) => {
      try {
        checkSettings('/x/walseal.toml', raw);
      } catch (error) {
        expect(error).toBeInstanceOf(Failure);
      }
    }),
  );
});
