import type { HistoryEntry } from './history.ts';
import { toLsn } from './lsn.ts';
import { parseWalName, segmentNameAt, segmentStart, type SegmentName, type SegmentSize } from './name.ts';

const WAL_END = 2n ** 64n;

/**
 * The segment that recovery asks for after this one: that of the newest timeline which has begun in it or before, on the
 * way that the newest of the histories tells, and never an older one (XLogFileReadAnyTLI in xlogrecovery.c). Undefined
 * behind the last segment that a name can have.
 */
export function nextSegment(
  segment: SegmentName,
  size: SegmentSize,
  histories: readonly { readonly name: string; readonly entries: readonly HistoryEntry[] }[],
): SegmentName | undefined {
  const start = segmentStart(segment, size);
  if (start === undefined || start + BigInt(size) >= WAL_END) return undefined;
  const next = toLsn(start + BigInt(size));
  const [followed] = histories
    .filter(({ entries }) => entries.some(({ timeline }) => timeline === segment.timeline))
    .sort((a, b) => (a.name < b.name ? 1 : -1));
  const entries = followed?.entries ?? [];
  // Where one ends, the next one begins.
  const ended = entries.findLastIndex(({ timeline, end }) => timeline >= segment.timeline && end < next + BigInt(size));
  const heir = entries[ended + 1]?.timeline ?? parseWalName(followed?.name ?? '')?.timeline;
  return segmentNameAt(ended < 0 || heir === undefined ? segment.timeline : heir, next, size);
}
