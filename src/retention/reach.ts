/** How far each base backup can be brought by the WAL that is there. */
import { formatLsn, type Lsn } from '../wal/lsn.ts';
import type { SegmentSize, TimelineId } from '../wal/name.ts';
import type { BaseBackup } from './base-backup.ts';
import { showPosition } from './chains.ts';
import { nameOf, numberAt, numberBefore, startOf } from './segment-number.ts';
import { beginOf, findTimeline, timelineAt, type Timeline, type Timelines } from './timelines.ts';
import { legAt, type ArchivedWal, type Leg } from './way.ts';

/** How far a backup can go on the way to one timeline. */
export interface Window {
  readonly timeline: TimelineId;
  /** Exclusive: the end of the last segment that is there without a gap. */
  readonly end: Lsn;
  /** When that segment was archived, in milliseconds since 1970; of a backup's own WAL: when the backup ended. */
  readonly endMs: number;
  /** The segment that ends the window although a later one of the same way is there. */
  readonly gap: { readonly missing: string; readonly next: string } | undefined;
}

/** What a backup needs, and gets, from an archive. */
export interface Reach {
  /** Why the archive can't bring it to consistency; undefined where it can. */
  readonly problem: string | undefined;
  /** Its own timeline's first, then those of the descendants that it can follow, in ascending order. */
  readonly windows: readonly Window[];
}

/** The ways of all timelines. */
export interface Ways {
  readonly timelines: Timelines;
  readonly legs: ReadonlyMap<TimelineId, readonly Leg[]>;
  readonly size: SegmentSize;
}

/**
 * Follows the WAL from a backup's start: to its stop, and on, to every timeline that leads over both. The WAL that it
 * brings itself counts.
 */
export function reachOf(backup: BaseBackup, ways: Ways, wal: ArchivedWal): Reach {
  const own = findTimeline(ways.timelines, backup.stop.timeline);
  const misplaced = misplacement(backup, own);
  if (own === undefined || misplaced !== undefined) return { problem: misplaced, windows: [] };
  const missing = missingBelowStop(backup, own, ways, wal);
  if (missing !== undefined) return { problem: missing, windows: [] };
  const followers = own.descendants.filter(({ fork }) => fork >= backup.stop.lsn).map(({ timeline }) => timeline);
  const windows = [own.id, ...followers].map((id) => windowOn(id, backup, ways, wal));
  return { problem: undefined, windows: windows.filter((window) => window !== undefined) };
}

/** Whether the way to `tip` leads over all that a backup needs to be consistent, so that it can be recovered to there. */
export function leadsTo(tip: Timeline, { stop }: BaseBackup, { timelines }: Ways): boolean {
  if (tip.id === stop.timeline) return true;
  const own = findTimeline(timelines, stop.timeline);
  return own?.descendants.some(({ timeline, fork }) => timeline === tip.id && fork >= stop.lsn) ?? false;
}

/** Whether what the backup tells of timelines is what the histories tell. */
function misplacement({ start, stop, ranges }: BaseBackup, own: Timeline | undefined): string | undefined {
  if (own === undefined) return `the archive knows no timeline ${stop.timeline}, on which it ends`;
  if (stop.lsn <= start.lsn) return `it ends at ${formatLsn(stop.lsn)}, and starts at ${formatLsn(start.lsn)}`;
  if (stop.lsn < beginOf(own)) return `it ends at ${showPosition(stop)}, before that timeline begins`;
  for (const place of [start, ...ranges.map(({ timeline, start: lsn }) => ({ timeline, lsn }))]) {
    const told = timelineAt(own, place.lsn);
    if (told === place.timeline) continue;
    return `it was at ${showPosition(place)}, where the way to timeline ${own.id} is on timeline ${told}`;
  }
  return undefined;
}

function missingBelowStop(backup: BaseBackup, own: Timeline, ways: Ways, wal: ArchivedWal): string | undefined {
  const end = wal.follow(legsTo(own.id, ways), numberAt(backup.start.lsn, ways.size), backup.ownWal);
  if (end.number > numberBefore(backup.stop.lsn, ways.size)) return undefined;
  const { name } = nameOf(end.timeline, end.number, ways.size);
  return `${name}, which it needs to be consistent, is neither in the archive nor in its own pg_wal`;
}

function windowOn(id: TimelineId, backup: BaseBackup, ways: Ways, wal: ArchivedWal): Window | undefined {
  const legs = legsTo(id, ways);
  const end = wal.follow(legs, numberAt(backup.start.lsn, ways.size), backup.ownWal);
  const next = wal.firstFrom(legs, end.number);
  const gap = next && {
    missing: nameOf(end.timeline, end.number, ways.size).name,
    next: nameOf(next.timeline, next.number, ways.size).name,
  };
  const timeline = ways.timelines.get(id);
  const endLsn = startOf(end.number, ways.size);
  // A timeline that it gets no byte of is worth a word only where bytes are there, behind a gap.
  if (id !== backup.stop.timeline && timeline && endLsn <= beginOf(timeline) && gap === undefined) return undefined;
  const last = { timeline: legAt(legs, end.number - 1) ?? id, number: end.number - 1 };
  return { timeline: id, end: endLsn, endMs: wal.modifiedMs(last) ?? backup.stoppedAt.getTime(), gap };
}

function legsTo(id: TimelineId, { legs }: Ways): readonly Leg[] {
  const way = legs.get(id);
  if (way === undefined) throw new RangeError(`timeline ${id} is not in the graph`);
  return way;
}
