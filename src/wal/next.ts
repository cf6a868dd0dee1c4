import type { HistoryEntry } from './history.ts';
import { toLsn } from './lsn.ts';
import { parseWalName, segmentNameAt, segmentStart, type SegmentName, type SegmentSize } from './name.ts';

/**
 * The segment that recovery asks for after this one: the next of its timeline, or, where the newest of the histories
 * says that the timeline ended in it or before, that of the timeline which went on there (XLogFileReadAnyTLI in
 * xlogrecovery.c asks the child first). Undefined behind the last segment that a name can have.
 */
export function nextSegment(
  segment: SegmentName,
  size: SegmentSize,
  histories: readonly { readonly name: string; readonly entries: readonly HistoryEntry[] }[],
): SegmentName | undefined {
  const start = segmentStart(segment, size);
  const next = start === undefined ? undefined : toLsn(start + BigInt(size));
  if (next === undefined) return undefined;
  const followed = histories
    .filter(({ entries }) => entries.some(({ timeline }) => timeline === segment.timeline))
    .sort((a, b) => (a.name < b.name ? 1 : -1))[0];
  const at = followed?.entries.findIndex(({ timeline }) => timeline === segment.timeline) ?? -1;
  const end = followed?.entries[at]?.end;
  const hasEnded = end !== undefined && end < next + BigInt(size);
  const child = followed?.entries[at + 1]?.timeline ?? parseWalName(followed?.name ?? '')?.timeline;
  return segmentNameAt(hasEnded && child !== undefined ? child : segment.timeline, next, size);
}
