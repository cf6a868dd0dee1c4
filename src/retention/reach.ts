/** How far each base backup can be brought by the WAL that is there. */
import { formatLsn, type Lsn } from '../wal/lsn.ts';
import type { SegmentSize, TimelineId } from '../wal/name.ts';
import type { BaseBackup } from './base-backup.ts';
import { showPosition } from './chains.ts';
import { nameOf, numberAt, numberBefore, startOf } from './segment-number.ts';
import { beginOf, findTimeline, timelineAt, type Timeline, type Timelines } from './timelines.ts';
import { legAt, type ArchivedWal, type Leg, type Step } from './way.ts';

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
  /** The timelines on whose ways it can be made consistent. */
  readonly consistentOn: readonly TimelineId[];
  /** Of each such way that holds something of its timeline, or a gap: its own timeline's first, then descendants' in ascending order. */
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
 * brings itself counts. Each way is looked at by itself: where a timeline was left in the segment that the backup ends
 * in, that segment is the child's, and the backup may be consistent on the child's way only.
 */
export function reachOf(backup: BaseBackup, ways: Ways, wal: ArchivedWal): Reach {
  const own = findTimeline(ways.timelines, backup.stop.timeline);
  const misplaced = misplacement(backup, own);
  if (own === undefined || misplaced !== undefined) return { problem: misplaced, consistentOn: [], windows: [] };
  const followers = own.descendants.filter(({ fork }) => fork >= backup.stop.lsn).map(({ timeline }) => timeline);
  const first = numberAt(backup.start.lsn, ways.size);
  const last = numberBefore(backup.stop.lsn, ways.size);
  const ends = [own.id, ...followers].map((id) => ({ id, end: wal.follow(legsTo(id, ways), first, backup.ownWal) }));
  const consistent = ends.filter(({ end }) => end.number > last);
  if (consistent.length > 0) {
    const windows = consistent.map(({ id, end }) => windowOn(id, end, backup, ways, wal));
    const consistentOn = consistent.map(({ id }) => id);
    return { problem: undefined, consistentOn, windows: windows.filter((window) => window !== undefined) };
  }
  const missing = ends[0]?.end ?? { timeline: own.id, number: first };
  const { name } = nameOf(missing.timeline, missing.number, ways.size);
  const problem = `${name}, which it needs to be consistent, is neither in the archive nor in its own pg_wal`;
  return { problem, consistentOn: [], windows: [] };
}

/**
 * Whether the way to `tip` leads over all that a backup needs to be consistent, so that it could be recovered to there
 * if all WAL were there.
 */
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

function windowOn(id: TimelineId, end: Step, backup: BaseBackup, ways: Ways, wal: ArchivedWal): Window | undefined {
  const legs = legsTo(id, ways);
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
