import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { parseControlFile, parseSystemId } from '../../src/wal/control.ts';
import { crc32c } from '../../src/wal/crc32c.ts';
import { WalFormatError } from '../../src/wal/error.ts';
import { anySystem } from './arbitraries.ts';

const NONCE = Uint8Array.from({ length: 32 }, (_, at) => at + 1);

/** A pg_control of a version whose nonce and checksum lie where they are said to. */
function control(version: number, nonceAt: number, crcAt: number, nonce = NONCE, systemId = 42n): Buffer {
  const bytes = Buffer.alloc(8192);
  bytes.writeBigUInt64LE(systemId, 0);
  bytes.writeUInt32LE(version, 8);
  bytes.set(nonce, nonceAt);
  bytes.writeUInt32LE(crc32c(bytes.subarray(0, crcAt)), crcAt);
  return bytes;
}

describe('pg_control', () => {
  test.each([
    [1300, 256, 288],
    [1700, 256, 288],
    [1800, 257, 292],
  ])('of version %i has its nonce at %i', (version, nonceAt, crcAt) => {
    expect(parseControlFile(control(version, nonceAt, crcAt))).toEqual({ systemId: '42', nonce: NONCE, version });
  });

  test('of a newer version is taken where the newest layout fits, with a warning', () => {
    const { nonce, warning } = parseControlFile(control(1900, 257, 292));
    expect(nonce).toEqual(NONCE);
    expect(warning).toContain('unknown version 1900');
    expect(() => parseControlFile(control(1900, 256, 288))).toThrow('no known layout fits');
  });

  test('without a nonce is taken with a warning', () => {
    expect(parseControlFile(control(1300, 256, 288, new Uint8Array(32))).warning).toContain(
      'no mock authentication nonce',
    );
  });

  test('with any bit turned before its checksum, or in it, is refused', () => {
    fc.assert(
      fc.property(fc.nat(288 * 8 + 31), (bit) => {
        const bytes = control(1300, 256, 288);
        bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        expect(() => parseControlFile(bytes)).toThrow(WalFormatError);
      }),
    );
  });

  test('of an older server, of another byte order, cut short or without a cluster is refused', () => {
    expect(() => parseControlFile(control(1201, 256, 288))).toThrow('version 1201, older than 1300');
    const foreign = control(1300, 256, 288);
    foreign.subarray(8, 12).reverse();
    expect(() => parseControlFile(foreign)).toThrow('another byte order');
    expect(() => parseControlFile(control(1300, 256, 288).subarray(0, 200))).toThrow('only 200 bytes');
    expect(() => parseControlFile(new Uint8Array())).toThrow('only 0 bytes');
    expect(() => parseControlFile(control(1300, 256, 288, NONCE, 0n))).toThrow('system identifier 0');
    expect(() => parseControlFile(Buffer.alloc(8192))).toThrow(WalFormatError);
  });

  test('gives a nonce of its own, not a view of what was read', () => {
    const bytes = control(1300, 256, 288);
    const { nonce } = parseControlFile(bytes);
    bytes.fill(0);
    expect(nonce).toEqual(NONCE);
  });
});

describe('a system identifier', () => {
  test('is a number of 64 bits, in one way only', () => {
    fc.assert(fc.property(anySystem, (system) => parseSystemId(system) === system));
    expect(parseSystemId('18446744073709551615')).toBe('18446744073709551615');
    for (const text of [
      '',
      '0',
      '01',
      '-1',
      '+1',
      '1.0',
      '1e3',
      ' 1',
      '1\n',
      '0x1',
      '18446744073709551616',
      '9'.repeat(40),
    ]) {
      expect(parseSystemId(text)).toBeUndefined();
    }
  });
});

test('CRC-32C gives what RFC 3720 says', () => {
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, at) => at))).toBe(0x46dd794e);
});
