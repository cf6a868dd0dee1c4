import fc from 'fast-check';
import { expect, test } from 'vitest';

import { asideKey, objectKey, parseKey, systemPrefix, walPrefix } from '../../src/wal/keys.ts';
import { parseSystemId } from '../../src/wal/control.ts';
import { parseWalName } from '../../src/wal/name.ts';
import { anyName, anySystem, known } from './arbitraries.ts';

const SYSTEM = known(parseSystemId('7710501465833863996'));
const FINGERPRINT = '0123456789abcdef'.repeat(4);
const anyFingerprint = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map((bytes) => Buffer.from(bytes).toString('hex'));

test.each([
  ['000000010000000A00000002', 'wal/000000010000000A/000000010000000A00000002'],
  ['000000010000000A00000002.partial', 'wal/000000010000000A/000000010000000A00000002.partial'],
  ['000000010000000A00000002.00000028.backup', 'wal/000000010000000A/000000010000000A00000002.00000028.backup'],
  ['00000002.history', 'wal/00000002.history'],
])('%s lies at <system id>/%s', (name, key) => {
  expect(objectKey(SYSTEM, known(parseWalName(name)))).toBe(`${SYSTEM}/${key}`);
});

test('what is set aside lies beside, with its fingerprint', () => {
  const name = known(parseWalName('000000010000000A00000002'));
  expect(asideKey(SYSTEM, name, FINGERPRINT)).toBe(`${SYSTEM}/aside/000000010000000A00000002.${FINGERPRINT}`);
  expect(() => asideKey(SYSTEM, name, FINGERPRINT.toUpperCase())).toThrow('64 lower-case');
});

test('a key is read back as what it was made from', () => {
  fc.assert(
    fc.property(anySystem, anyName, anyFingerprint, (system, name, fingerprint) => {
      expect(parseKey(objectKey(system, name))).toEqual({ place: 'wal', system, name });
      expect(parseKey(asideKey(system, name, fingerprint))).toEqual({ place: 'aside', system, name, fingerprint });
      expect(objectKey(system, name).startsWith(walPrefix(system))).toBe(true);
      expect(asideKey(system, name, fingerprint).startsWith(systemPrefix(system))).toBe(true);
    }),
  );
});

test('a key that is read is the only one for what it says', () => {
  const part = fc.oneof(
    fc.constantFrom('1', '01', '0', 'wal', 'aside', '', '..', '0000000100000000', '000000010000000000000001'),
    fc.constantFrom('00000002.history', '0000000200000000', `00000002.history.${FINGERPRINT}`, 'tmp'),
    fc.string({ maxLength: 4 }),
  );
  const candidate = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'));
  fc.assert(
    fc.property(candidate, (key) => {
      const parsed = parseKey(key);
      if (parsed === undefined) return;
      const { system, name } = parsed;
      expect(parsed.place === 'wal' ? objectKey(system, name) : asideKey(system, name, parsed.fingerprint)).toBe(key);
    }),
    { numRuns: 2000 },
  );
});

test.each([
  '1/wal/000000010000000000000001',
  '1/wal/0000000100000001/000000010000000000000001',
  '1/wal/0000000200000000/00000002.history',
  '01/wal/00000002.history',
  '0/wal/00000002.history',
  '18446744073709551616/wal/00000002.history',
  '1/aside/00000002.history',
  `1/aside/00000002.history.${FINGERPRINT.slice(1)}`,
  `1/aside/00000002.history.${FINGERPRINT.toUpperCase()}`,
  '1/00000002.history',
  '/1/wal/00000002.history',
  '1/wal/00000002.history/',
  '1/wal/00000002.history\n',
  'tmp/00000002.history',
])('%s is not ours', (key) => {
  expect(parseKey(key)).toBeUndefined();
});
