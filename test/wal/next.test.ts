import fc from 'fast-check';
import { expect, test } from 'vitest';

import type { HistoryEntry } from '../../src/wal/history.ts';
import { toLsn } from '../../src/wal/lsn.ts';
import {
  formatTimeline,
  parseWalName,
  segmentNameAt,
  toSegmentSize,
  toTimelineId,
  type SegmentName,
  type SegmentSize,
  type TimelineId,
} from '../../src/wal/name.ts';
import { nextSegment } from '../../src/wal/next.ts';
import { anySize, known } from './arbitraries.ts';

/** A timeline's history file, as pg_wal has it. */
interface History {
  readonly name: string;
  readonly entries: readonly HistoryEntry[];
}

const MIB = known(toSegmentSize(2 ** 20));
const WAL_END = 2n ** 64n;

function timeline(id: number): TimelineId {
  return known(toTimelineId(id));
}

/** @param ends each parent, oldest first, and where it ended */
function historyOf(id: number, ...ends: (readonly [parent: number, end: bigint])[]): History {
  return {
    name: `${formatTimeline(timeline(id))}.history`,
    entries: ends.map(([parent, end]) => ({ timeline: timeline(parent), end: toLsn(end), reason: 'a test' })),
  };
}

function segment(id: number, number: bigint, size: SegmentSize): SegmentName {
  return segmentNameAt(timeline(id), toLsn(number * BigInt(size)), size);
}

/**
 * The first file that the server looks for (XLogFileReadAnyTLI in xlogrecovery.c): of the timelines of its history, from
 * the newest on, one that has begun in that segment or before; it never goes back to an older one than it replays.
 */
function askedFirst(replayed: number, number: bigint, size: SegmentSize, history: History): string {
  const { entries, name } = history;
  const lines = entries.map(({ timeline: id }, at) => ({ id, begins: entries[at - 1]?.end ?? 0n }));
  lines.push({ id: known(parseWalName(name)).timeline, begins: entries.at(-1)?.end ?? 0n });
  const first = lines.toReversed().find(({ id, begins }) => id <= replayed || number >= begins / BigInt(size));
  return segment(Math.max(replayed, first?.id ?? 0), number, size).name;
}

/** A history of some timelines that ended around the segment `number`: at the starts of segments, their ends, and between. */
const anyPast = anySize.chain((size) => {
  const last = WAL_END / BigInt(size) - 6n;
  const inSegment = fc.constantFrom(0n, 1n, BigInt(size) / 2n, BigInt(size) - 1n);
  return fc
    .record({
      size: fc.constant(size),
      number: fc.oneof(fc.bigInt(8n, 40n), fc.bigInt(8n, last), fc.constantFrom(last, 4_095n, 4_096n, 255n, 256n)),
      ids: fc.uniqueArray(fc.integer({ min: 1, max: 300 }), { minLength: 2, maxLength: 6 }),
      offsets: fc.array(fc.tuple(fc.bigInt(-4n, 4n), inSegment), { minLength: 5, maxLength: 5 }),
      replayed: fc.nat(),
    })
    .map(({ number, ids, offsets, replayed, ...rest }) => {
      const lines = ids.toSorted((a, b) => a - b);
      const ends = offsets
        .map(([segments, bytes]) => (number + segments) * BigInt(size) + bytes)
        .sort((a, b) => (a < b ? -1 : 1));
      const own = lines.at(-1) ?? 0;
      const parents = lines.slice(0, -1).map((id, at) => [id, ends[at] ?? 0n] as const);
      return { ...rest, number, history: historyOf(own, ...parents), replayed: lines[replayed % lines.length] ?? 0 };
    });
});

test('it is the one that the server looks for first, wherever timelines ended, at every segment size', () => {
  fc.assert(
    fc.property(anyPast, ({ size, number, history, replayed }) => {
      const next = nextSegment(segment(replayed, number, size), size, [history]);
      expect(next?.name).toBe(askedFirst(replayed, number + 1n, size, history));
    }),
    { numRuns: 2_000 },
  );
});

test('without histories it is the next of the same timeline', () => {
  fc.assert(
    fc.property(anyPast, ({ size, number, replayed }) => {
      expect(nextSegment(segment(replayed, number, size), size, [])).toEqual(segment(replayed, number + 1n, size));
    }),
  );
});

test('histories of timelines that do not come from the one being replayed change nothing', () => {
  fc.assert(
    fc.property(anyPast, ({ size, number, history }) => {
      const stranger = 301;
      expect(nextSegment(segment(stranger, number, size), size, [history])?.timeline).toBe(stranger);
    }),
  );
});

test('of several histories with that timeline the newest counts, in whatever order they come', () => {
  const older = historyOf(2, [1, 0x300100n]);
  const newer = historyOf(3, [1, 0x500100n]);
  const unrelated = historyOf(9, [7, 0x300100n]);
  for (const histories of [
    [older, newer, unrelated],
    [unrelated, newer, older],
  ]) {
    expect(nextSegment(segment(1, 2n, MIB), MIB, histories)?.name).toBe('000000010000000000000003');
    expect(nextSegment(segment(1, 4n, MIB), MIB, histories)?.name).toBe('000000030000000000000005');
    expect(nextSegment(segment(2, 4n, MIB), MIB, histories)?.name).toBe('000000020000000000000005');
  }
});

test('a fork at the end of a segment leaves that segment to the parent', () => {
  const history = historyOf(2, [1, 0x400000n]);
  expect(nextSegment(segment(1, 2n, MIB), MIB, [history])?.name).toBe('000000010000000000000003');
  expect(nextSegment(segment(1, 3n, MIB), MIB, [history])?.name).toBe('000000020000000000000004');
});

test('of timelines that ended in the same segment the last one goes on', () => {
  const history = historyOf(4, [1, 0x300100n], [2, 0x300200n], [3, 0x300300n]);
  expect(nextSegment(segment(1, 2n, MIB), MIB, [history])?.name).toBe('000000040000000000000003');
  expect(nextSegment(segment(2, 2n, MIB), MIB, [history])?.name).toBe('000000040000000000000003');
});

test('a name that no segment of that size has is followed by none, and so is the last one of all', () => {
  const size = known(toSegmentSize(2 ** 30));
  const name = parseWalName('000000010000000000000004');
  if (name?.kind !== 'segment') throw new Error('it looks like one');
  expect(nextSegment(name, size, [])).toBeUndefined();
  expect(nextSegment(segment(1, WAL_END / BigInt(size) - 1n, size), size, [])).toBeUndefined();
});
