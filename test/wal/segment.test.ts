import { describe, expect, test } from 'vitest';

import { toLsn } from '../../src/wal/lsn.ts';
import { SegmentScan, WAL_PAGE_BYTES } from '../../src/wal/segment.ts';

const START = 0x500000n;
const MAGIC = 0xd118;
const PAGES = 4;

/** A full page that lies at this address. */
function page(address: bigint): Buffer {
  const bytes = Buffer.alloc(WAL_PAGE_BYTES, 0xa5);
  bytes.writeUInt16LE(MAGIC, 0);
  bytes.writeBigUInt64LE(address, 8);
  return bytes;
}

function own(index: number): Buffer {
  return page(START + BigInt(index * WAL_PAGE_BYTES));
}

/** A page whose last record, at `at`, is this one; zeros follow. */
function ending(index: number, at: number, record: Buffer): Buffer {
  const bytes = own(index).fill(0, at);
  record.copy(bytes, at);
  return bytes;
}

/** XLogRecord: length, transaction, previous record, info, resource manager, padding, checksum. */
function record(length: number, info: number, manager: number, checksum: number): Buffer {
  const bytes = Buffer.alloc(24);
  bytes.writeUInt32LE(length, 0);
  bytes.writeBigUInt64LE(START, 8);
  bytes.writeUInt8(info, 16);
  bytes.writeUInt8(manager, 17);
  bytes.writeUInt32LE(checksum, 20);
  return bytes;
}

const EMPTY = Buffer.alloc(WAL_PAGE_BYTES);
const SWITCH = record(24, 0x40, 0, 0x12345678);

function verdict(...pages: readonly Buffer[]): string {
  const scan = new SegmentScan(toLsn(START));
  for (const bytes of pages) scan.page(bytes);
  return scan.verdict();
}

describe('a segment is finished', () => {
  test('where every page is its own', () => {
    expect(verdict(...Array.from({ length: PAGES }, (_, index) => own(index)))).toBe('finished');
  });

  test.each([24, 40, 4_096, WAL_PAGE_BYTES - 24])('where it was switched away from at byte %i of a page', (at) => {
    expect(verdict(own(0), ending(1, at, SWITCH), EMPTY, EMPTY)).toBe('finished');
  });

  test('where the checksum of that record ends with zeros', () => {
    expect(verdict(own(0), ending(1, 64, record(24, 0x40, 0, 0x78)), EMPTY)).toBe('finished');
  });
});

describe('a segment is not known to be finished', () => {
  test('where pages of another segment follow', () => {
    expect(verdict(own(0), own(1), page(START - 0x100000n), page(START - 0x100000n + 8192n))).toBe('stale');
  });

  test('where something follows empty pages', () => {
    expect(verdict(own(0), EMPTY, own(2))).toBe('stale');
  });

  test.each([
    ['any other record', record(24, 0x50, 0, 0x12345678)],
    ['a record of another resource manager', record(24, 0x40, 10, 0x12345678)],
    ['a longer record', record(48, 0x40, 0, 0x12345678)],
  ])('where %s comes last, and nothing behind it', (_, last) => {
    expect(verdict(own(0), ending(1, 4_096, last), EMPTY)).toBe('open-ended');
  });

  test('where there is nothing at all', () => {
    expect(verdict(EMPTY, EMPTY)).toBe('open-ended');
  });
});
