import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { formatLsn, parseLsn, toLsn } from '../../src/wal/lsn.ts';
import {
  formatTimeline,
  parseWalName,
  segmentNameAt,
  segmentsPerLog,
  segmentStart,
  toSegmentSize,
  toTimelineId,
} from '../../src/wal/name.ts';
import { anyLsn, anyNameText, anySize, anyTimeline, known, SEGMENT_SIZES } from './arbitraries.ts';

describe('names', () => {
  test('each kind of WAL file is told from its name', () => {
    const at = { timeline: 1, log: 0xa, seg: 2 };
    expect(parseWalName('000000010000000A00000002')).toMatchObject({ kind: 'segment', ...at });
    expect(parseWalName('000000010000000A00000002.partial')).toMatchObject({ kind: 'partial', ...at });
    expect(parseWalName('000000010000000A00000002.00000028.backup')).toMatchObject({
      kind: 'backup',
      ...at,
      offset: 0x28,
    });
    expect(parseWalName('0000000A.history')).toEqual({ kind: 'history', name: '0000000A.history', timeline: 10 });
  });

  test.each([
    ['lower case', '000000010000000a00000002'],
    ['timeline 0', '000000000000000A00000002'],
    ['the history of timeline 0', '00000000.history'],
    ['too short', '00000001000000000000000'],
    ['too long', '0000000100000000000000021'],
    ['no hex', '00000001000000000000000G'],
    ['a final newline', '000000010000000000000002\n'],
    ['a path', 'pg_wal/000000010000000000000002'],
    ['another suffix', '000000010000000000000002.done'],
    ['a short offset', '000000010000000000000002.28.backup'],
    ['a backup without an offset', '000000010000000000000002.backup'],
    ['a partial history', '00000002.history.partial'],
    ['what the server restores into', 'RECOVERYXLOG'],
    ['nothing', ''],
  ])('%s makes no name', (_, text) => {
    expect(parseWalName(text)).toBeUndefined();
  });

  test('a name is kept as it was', () => {
    fc.assert(fc.property(anyNameText, (text) => parseWalName(text)?.name === text));
  });

  test('what is nearly a name never passes', () => {
    const mutation = fc.tuple(anyNameText, fc.nat(40), fc.string({ minLength: 1, maxLength: 2 }));
    fc.assert(
      fc.property(mutation, ([text, at, inserted]) => {
        const parsed = parseWalName(text.slice(0, at) + inserted + text.slice(at));
        expect(parsed?.kind === 'segment' && parsed.name.length !== 24).toBe(false);
        expect(parsed?.name.match(/[^0-9A-F.a-z]/) ?? null).toBeNull();
      }),
    );
  });
});

describe('segments', () => {
  test('sizes are powers of two from 1 MB to 1 GB', () => {
    const megabyte = 2 ** 20;
    expect(SEGMENT_SIZES.map((size) => size / megabyte)).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]);
    for (const bytes of [0, 1, 8192, megabyte / 2, 3 * megabyte, megabyte + 1, 2 ** 31, -megabyte, NaN, Infinity]) {
      expect(toSegmentSize(bytes)).toBeUndefined();
    }
  });

  test.each([
    [1, 0xfff],
    [16, 0xff],
    [64, 0x3f],
    [1024, 3],
  ])('with %i MB the third part goes up to %i', (megabytes, highest) => {
    const size = known(toSegmentSize(megabytes * 2 ** 20));
    expect(segmentsPerLog(size)).toBe(highest + 1);
    expect(segmentStart({ log: 7, seg: highest }, size)).toBe(8n * 2n ** 32n - BigInt(size));
    expect(segmentStart({ log: 7, seg: highest + 1 }, size)).toBeUndefined();
  });

  test('the segment that contains a position starts at or before it, and ends after it', () => {
    fc.assert(
      fc.property(anyTimeline, anyLsn, anySize, (timeline, lsn, size) => {
        const name = segmentNameAt(timeline, lsn, size);
        const start = known(segmentStart(name, size));
        expect(lsn - start).toBeGreaterThanOrEqual(0n);
        expect(lsn - start).toBeLessThan(BigInt(size));
        expect(parseWalName(name.name)).toEqual(name);
      }),
    );
  });

  test('names of a timeline sort as their positions do', () => {
    fc.assert(
      fc.property(anyTimeline, anyLsn, anyLsn, anySize, (timeline, one, other, size) => {
        const [first, second] = one < other ? [one, other] : [other, one];
        expect(segmentNameAt(timeline, first, size).name <= segmentNameAt(timeline, second, size).name).toBe(true);
      }),
    );
  });

  test('the server names them so', () => {
    const timeline = known(toTimelineId(0x1f));
    const size = known(toSegmentSize(16 * 2 ** 20));
    expect(segmentNameAt(timeline, parseLsn('16/B374D848'), size).name).toBe('0000001F00000016000000B3');
    expect(formatTimeline(timeline)).toBe('0000001F');
  });

  test('timelines start at 1 and have 32 bits', () => {
    expect([0, -1, 1.5, 2 ** 32, NaN].map(toTimelineId)).toEqual(Array(5).fill(undefined));
    expect([1, 2 ** 32 - 1].map(toTimelineId)).toEqual([1, 2 ** 32 - 1]);
  });
});

describe('LSNs', () => {
  test('are read as they are written', () => {
    fc.assert(fc.property(anyLsn, (lsn) => parseLsn(formatLsn(lsn)) === lsn));
  });

  test('are read with padding and in lower case, as newer servers and users write them', () => {
    expect(parseLsn('0/03000028')).toBe(0x3000028n);
    expect(parseLsn('a/ffffffff')).toBe(0xa_ffff_ffffn);
    expect(formatLsn(toLsn(0x3000028n))).toBe('0/3000028');
  });

  test.each(['', '0', '/', '0/', '/0', '0/123456789', '123456789/0', '0x0/0', '0/G', ' 0/0', '0/0\n', '0/0/0', '-1/0'])(
    '"%s" is none',
    (text) => {
      expect(() => parseLsn(text)).toThrow('is not an LSN');
    },
  );

  test('have 64 bits', () => {
    expect(() => toLsn(-1n)).toThrow('does not fit');
    expect(() => toLsn(2n ** 64n)).toThrow('does not fit');
  });
});
