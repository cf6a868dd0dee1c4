import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { parseSystemId } from '../../src/wal/control.ts';
import { checkSegmentHeader, PAGE_MAGIC, readLongPageHeader } from '../../src/wal/header.ts';
import { parseWalName, segmentNameAt, segmentStart, type PartialName, type SegmentName } from '../../src/wal/name.ts';
import { anyLsn, anySize, anySystem, anyTimeline, known } from './arbitraries.ts';

const MEGABYTE = 2 ** 20;
const SYSTEM = known(parseSystemId('7710501465833863996'));

interface Fields {
  magic?: number;
  info?: number;
  timeline?: number;
  pageAddress?: bigint;
  systemId?: bigint;
  segmentSize?: number;
}

/** The first page of 000000030000000000000005 with 16 MB, but for what is said otherwise. */
function page(fields: Fields = {}): Uint8Array {
  const bytes = Buffer.alloc(8192);
  bytes.writeUInt16LE(fields.magic ?? 0xd110, 0);
  bytes.writeUInt16LE(fields.info ?? 2, 2);
  bytes.writeUInt32LE(fields.timeline ?? 3, 4);
  bytes.writeBigUInt64LE(fields.pageAddress ?? 0x5000000n, 8);
  bytes.writeBigUInt64LE(fields.systemId ?? BigInt(SYSTEM), 24);
  bytes.writeUInt32LE(fields.segmentSize ?? 16 * MEGABYTE, 32);
  bytes.writeUInt32LE(8192, 36);
  return bytes;
}

function segment(text: string): SegmentName | PartialName {
  const name = parseWalName(text);
  if (name?.kind !== 'segment' && name?.kind !== 'partial') throw new Error(`${text} is no segment`);
  return name;
}

const NAME = segment('000000030000000000000005');
const check = (fields: Fields, fileSize = 16 * MEGABYTE): ReturnType<typeof checkSegmentHeader> =>
  checkSegmentHeader(NAME, fileSize, page(fields), SYSTEM);

describe('a first page', () => {
  test('that fits the name is fine, whole or partial', () => {
    expect(check({})).toEqual({ segmentSize: 16 * MEGABYTE });
    expect(checkSegmentHeader(segment('000000030000000000000005.partial'), 16 * MEGABYTE, page(), SYSTEM)).toEqual({
      segmentSize: 16 * MEGABYTE,
    });
  });

  test('may be of an earlier timeline, where the name begins one', () => {
    expect(check({ timeline: 1 }).problem).toBeUndefined();
  });

  test('may start with the rest of a record', () => {
    expect(check({ info: 3 }).problem).toBeUndefined();
  });

  test.each<[string, Fields, string]>([
    ['another segment', { pageAddress: 0x3000000n }, 'page address is 0/3000000, the name says 0/5000000'],
    ['a later timeline', { timeline: 4 }, 'timeline is 4, the name says 3'],
    ['timeline 0', { timeline: 0 }, 'timeline is 0, the name says 3'],
    ['another cluster', { systemId: 99n }, "system identifier is 99, the cluster's is 7710501465833863996"],
    ['no cluster', { systemId: 0n }, "system identifier is 0, the cluster's is 7710501465833863996"],
    ['an impossible size', { segmentSize: 12345 }, 'segment size is 12345, not a power of two from 1 MB to 1 GB'],
    ['a size of two powers', { segmentSize: 3 * MEGABYTE }, 'not a power of two'],
    ['another size', { segmentSize: 64 * MEGABYTE }, 'segment size is 67108864 bytes, the file has 16777216'],
    ['no long header', { info: 0 }, 'it starts with 10d10000'],
  ])('of %s is not what the name claims', (_, fields, problem) => {
    expect(check(fields).problem).toContain(problem);
  });

  test('tells all that is wrong at once', () => {
    expect(check({ timeline: 4, systemId: 99n, pageAddress: 0n }).problem?.split('; ')).toHaveLength(3);
  });

  test('does not excuse a truncated or an extended file', () => {
    for (const size of [16 * MEGABYTE - 1, 16 * MEGABYTE + 1, 8192, 0]) {
      expect(check({}, size).problem).toContain(`the file has ${size}`);
    }
  });

  test('of zeros, or cut short, is no WAL', () => {
    expect(checkSegmentHeader(NAME, 16 * MEGABYTE, Buffer.alloc(8192), SYSTEM).problem).toContain('filled with zeros');
    expect(checkSegmentHeader(NAME, 39, page().subarray(0, 39), SYSTEM).problem).toContain('has 39 bytes');
    expect(checkSegmentHeader(NAME, 0, new Uint8Array(), SYSTEM).problem).toContain('has 0 bytes');
  });

  test('cannot be of a segment whose third part is too high for its size', () => {
    const high = segment('000000030000000000000100');
    expect(checkSegmentHeader(high, 16 * MEGABYTE, page(), SYSTEM).problem).toContain('it stays below 100');
  });

  test('of an unknown server is a warning where all else is right, and only there', () => {
    expect(check({ magic: 0xd11f }).warning).toContain('page magic is D11F');
    expect(check({ magic: 0xd11f }).problem).toBeUndefined();
    expect(check({ magic: 0xd11f, timeline: 4 })).not.toHaveProperty('warning');
    for (const magic of PAGE_MAGIC.keys()) expect(check({ magic })).not.toHaveProperty('warning');
  });

  test('of any cluster, size and place passes under its own name and no other', () => {
    fc.assert(
      fc.property(anyTimeline, anyLsn, anyLsn, anySize, anySystem, (timeline, lsn, other, segmentSize, system) => {
        const name = segmentNameAt(timeline, lsn, segmentSize);
        const bytes = page({
          timeline,
          segmentSize,
          pageAddress: known(segmentStart(name, segmentSize)),
          systemId: BigInt(system),
        });
        expect(checkSegmentHeader(name, segmentSize, bytes, system)).toEqual({ segmentSize });
        const elsewhere = segmentNameAt(timeline, other, segmentSize);
        const { problem } = checkSegmentHeader(elsewhere, segmentSize, bytes, system);
        expect(problem === undefined).toBe(elsewhere.name === name.name);
      }),
    );
  });

  test('of any bytes never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(), (bytes, size) => {
        expect(checkSegmentHeader(NAME, size, bytes, SYSTEM).problem).toBeTypeOf('string');
        expect(readLongPageHeader(bytes) === undefined || bytes.length >= 40).toBe(true);
      }),
    );
  });

  test('is read where it lies in a larger buffer', () => {
    const larger = Buffer.concat([Buffer.alloc(3), page()]);
    expect(readLongPageHeader(larger.subarray(3))).toEqual(readLongPageHeader(page()));
  });
});
