/**
 * Segments by their numbers (XLogSegNo in xlogdefs.h): the WAL's bytes before a segment, divided by the segment size.
 * At 1 MiB the highest is 2^44 - 1, so a plain number holds each exactly.
 */
import { toLsn, type Lsn } from '../wal/lsn.ts';
import {
  segmentNameAt,
  segmentsPerLog,
  type SegmentName,
  type SegmentPosition,
  type SegmentSize,
  type TimelineId,
} from '../wal/name.ts';

const LAST_LSN = 2n ** 64n - 1n;

/** The number that a name says; undefined where its third part is too high for segments of this size. */
export function segmentNumber(position: SegmentPosition, size: SegmentSize): number | undefined {
  const perLog = segmentsPerLog(size);
  return position.seg < perLog ? position.log * perLog + position.seg : undefined;
}

/** The number of the segment that contains the byte at `lsn`. */
export function numberAt(lsn: Lsn, size: SegmentSize): number {
  return Number(lsn / BigInt(size));
}

/** The number of the segment that contains the byte before `lsn`: the last one of what ends there, exclusive. */
export function numberBefore(lsn: Lsn, size: SegmentSize): number {
  return lsn === 0n ? 0 : Number((lsn - 1n) / BigInt(size));
}

/** The first byte of a segment. The very end of the WAL's 64 bits stands for what would lie behind it. */
export function startOf(number: number, size: SegmentSize): Lsn {
  const start = BigInt(number) * BigInt(size);
  return toLsn(start > LAST_LSN ? LAST_LSN : start);
}

/** The name of a segment. */
export function nameOf(timeline: TimelineId, number: number, size: SegmentSize): SegmentName {
  return segmentNameAt(timeline, startOf(number, size), size);
}
