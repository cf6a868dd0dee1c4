import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { endedTimeline } from '../../src/archive/ended.ts';
import type { HistoryEntry } from '../../src/wal/history.ts';
import { toLsn, type Lsn } from '../../src/wal/lsn.ts';
import { segmentNameAt, toSegmentSize, toTimelineId, type SegmentSize, type TimelineId } from '../../src/wal/name.ts';
import { requireName } from '../harness/cluster.ts';

function sizeOf(bytes: number): SegmentSize {
  const size = toSegmentSize(bytes);
  if (size === undefined) throw new Error(`${bytes} is no segment size`);
  return size;
}

function timelineOf(value: number): TimelineId {
  const timeline = toTimelineId(value);
  if (timeline === undefined) throw new Error(`${value} is no timeline`);
  return timeline;
}

const sizes = fc.integer({ min: 20, max: 30 }).map((bits) => sizeOf(2 ** bits));
const timelines = fc.integer({ min: 1, max: 2 ** 32 - 1 }).map(timelineOf);
/** Below the last segment, so that there is always a next one. */
const lsns = fc.bigInt({ min: 0n, max: 2n ** 63n }).map(toLsn);

function entry(timeline: TimelineId, end: Lsn): HistoryEntry {
  return { timeline, end, reason: 'no recovery target specified' };
}

function histories(...entries: HistoryEntry[]): { name: string; entries: HistoryEntry[] }[] {
  return [{ name: 'the history', entries }];
}

describe('a timeline has ended for a segment', () => {
  test('if and only if its end lies before the segment`s own end', () => {
    fc.assert(
      fc.property(timelines, lsns, lsns, sizes, (timeline, at, end, size) => {
        const start = at - (at % BigInt(size));
        const ended = endedTimeline(segmentNameAt(timeline, at, size), size, histories(entry(timeline, end)));
        expect(ended !== undefined).toBe(end < start + BigInt(size));
        if (ended !== undefined) expect(ended).toEqual({ end, historyFile: 'the history' });
      }),
    );
  });

  test('so not where it ended with the segment`s last byte, and where it ended one byte before that', () => {
    fc.assert(
      fc.property(timelines, lsns, sizes, (timeline, at, size) => {
        const next = toLsn(at - (at % BigInt(size)) + BigInt(size));
        const name = segmentNameAt(timeline, at, size);
        expect(endedTimeline(name, size, histories(entry(timeline, next)))).toBeUndefined();
        expect(endedTimeline(name, size, histories(entry(timeline, toLsn(next - 1n))))).toBeDefined();
      }),
    );
  });

  test('never by what a history says of other timelines', () => {
    fc.assert(
      fc.property(timelines, timelines, lsns, lsns, sizes, (timeline, other, at, end, size) => {
        fc.pre(timeline !== other);
        expect(endedTimeline(segmentNameAt(timeline, at, size), size, histories(entry(other, end)))).toBeUndefined();
      }),
    );
  });

  test('whatever else the histories hold', () => {
    fc.assert(
      fc.property(timelines, timelines, lsns, sizes, (timeline, other, at, size) => {
        fc.pre(timeline !== other);
        const start = toLsn(at - (at % BigInt(size)));
        const all = [...histories(entry(other, start)), ...histories(entry(other, start), entry(timeline, start))];
        expect(endedTimeline(segmentNameAt(timeline, at, size), size, all)).toBeDefined();
        expect(endedTimeline(segmentNameAt(timeline, at, size), size, all.toReversed())).toBeDefined();
      }),
    );
  });
});

test.each(['000000010000000000000001.partial', '000000010000000000000001.00000028.backup', '00000001.history'])(
  'nothing ends for %s',
  (name) => {
    expect(endedTimeline(requireName(name), 2 ** 20, histories(entry(timelineOf(1), toLsn(0n))))).toBeUndefined();
  },
);

test.each([
  ['a size that no segment has', '000000010000000000000001', 2 ** 20 - 8192],
  ['an empty file', '000000010000000000000001', 0],
  ['a name that segments of this size do not have', '000000010000000000000100', 2 ** 24],
])('nothing is known of %s', (_, name, length) => {
  expect(endedTimeline(requireName(name), length, histories(entry(timelineOf(1), toLsn(0n))))).toBeUndefined();
});
