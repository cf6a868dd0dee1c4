import fc from 'fast-check';

import { parseSystemId, type SystemId } from '../../src/wal/control.ts';
import { toLsn, type Lsn } from '../../src/wal/lsn.ts';
import {
  parseWalName,
  toSegmentSize,
  toTimelineId,
  type SegmentSize,
  type TimelineId,
  type WalName,
} from '../../src/wal/name.ts';

/** What must be there, by the way it was made. */
export function known<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('a value that should exist does not');
  return value;
}

export const SEGMENT_SIZES: readonly SegmentSize[] = Array.from({ length: 11 }, (_, power) =>
  known(toSegmentSize(2 ** (20 + power))),
);

export const anySize: fc.Arbitrary<SegmentSize> = fc.constantFrom(...SEGMENT_SIZES);
export const anyLsn: fc.Arbitrary<Lsn> = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(toLsn);
export const anyTimeline: fc.Arbitrary<TimelineId> = fc
  .integer({ min: 1, max: 2 ** 32 - 1 })
  .map((value) => known(toTimelineId(value)));
export const anySystem: fc.Arbitrary<SystemId> = fc
  .bigInt({ min: 1n, max: 2n ** 64n - 1n })
  .map((value) => known(parseSystemId(String(value))));

const digits = (length: number): fc.Arbitrary<string> =>
  fc.string({ unit: fc.constantFrom(...Array.from('0123456789ABCDEF')), minLength: length, maxLength: length });
const timelineDigits = digits(8).filter((text) => text !== '00000000');
const segmentDigits = fc.tuple(timelineDigits, digits(16)).map(([timeline, rest]) => timeline + rest);

export const anyNameText: fc.Arbitrary<string> = fc.oneof(
  segmentDigits,
  segmentDigits.map((segment) => `${segment}.partial`),
  fc.tuple(segmentDigits, digits(8)).map(([segment, offset]) => `${segment}.${offset}.backup`),
  timelineDigits.map((timeline) => `${timeline}.history`),
);
export const anyName: fc.Arbitrary<WalName> = anyNameText.map((text) => known(parseWalName(text)));
