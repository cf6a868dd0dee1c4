import type { HistoryEntry } from '../wal/history.ts';
import type { Lsn } from '../wal/lsn.ts';
import { segmentStart, toSegmentSize, type SegmentSize, type WalName } from '../wal/name.ts';

/** A timeline that this server has left behind: where it ended, and the history file that says so. */
export interface EndedTimeline {
  readonly end: Lsn;
  readonly historyFile: string;
}

/**
 * Whether the segment's timeline ended before or inside it, as a history file of this server says. Such a segment
 * may be stale: a standby's partial copy under the full name (archive_mode = always), or a zero-filled leftover
 * that a checkpoint marked (XLogArchiveCheckDone). Of several forks the latest counts: the WAL before it may be
 * some branch's only copy. The file's own size stands for the segment size, since the header may be wrong.
 */
export function endedTimeline(
  name: WalName,
  length: number,
  histories: readonly { name: string; entries: readonly HistoryEntry[] }[],
  usualSize?: SegmentSize,
): EndedTimeline | undefined {
  if (name.kind !== 'segment') return undefined;
  const size = toSegmentSize(length) ?? usualSize;
  const start = size === undefined ? undefined : segmentStart(name, size);
  if (size === undefined || start === undefined) return undefined;
  let latest: EndedTimeline | undefined;
  for (const history of histories) {
    const end = history.entries.find((entry) => entry.timeline === name.timeline)?.end;
    if (end !== undefined && end > (latest?.end ?? -1n)) latest = { end, historyFile: history.name };
  }
  return latest !== undefined && latest.end < start + BigInt(size) ? latest : undefined;
}
