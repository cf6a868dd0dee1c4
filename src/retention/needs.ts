/** What WAL is still needed, and by whom. */
import type { Lsn } from '../wal/lsn.ts';
import type { TimelineId } from '../wal/name.ts';
import type { BaseBackup } from './base-backup.ts';
import type { Inventory, TimelineObjects } from './inventory.ts';
import type { Choice, Policy } from './policy.ts';
import { leadsTo } from './reach.ts';
import { numberAt, startOf } from './segment-number.ts';
import type { Assessment } from './assess.ts';
import { beginOf, findTimeline } from './timelines.ts';

/**
 * Why WAL is kept. `backup`: a kept backup needs it. `young`: it is younger than keep_wal, or behind such. `live`: it
 * belongs to a live timeline that no backup arrives at. `newest`: it is the newest segment of its timeline.
 */
export type KeepKind = 'backup' | 'young' | 'live' | 'newest';

/** WAL is needed from a place on: on its timeline, and on all that forked from there behind that place. */
export interface Need {
  readonly kind: KeepKind;
  /** Who needs it: a clause such as `backup file:///b/1 starts there`. */
  readonly reason: string;
  readonly timeline: TimelineId;
  readonly lsn: Lsn;
}

/** A need as it concerns one timeline: segments from this number on. */
export interface Claim {
  readonly need: Need;
  readonly from: number;
}

/**
 * All needs. Young WAL counts as one, since what lies behind it would otherwise be cut off, or left without the branch
 * that it leads to. So does a live timeline that no restorable backup arrives at: what may yet be mended is kept.
 */
export function needsOf(assessment: Assessment, choice: Choice, policy: Policy, now: Date): Need[] {
  const kept = [...choice.kept.keys()].map(({ backup }) =>
    needOf(backup, 'backup', `kept backup ${backup.path}`, assessment),
  );
  return [...kept, ...young(assessment, policy, now), ...unserved(assessment, choice)].filter(
    (need) => need !== undefined,
  );
}

/**
 * What is claimed of each timeline, the lowest first: by the needs, and where they would leave no segment of it, by its
 * newest segment. Where that went too, nothing would show that a timeline had gone on: wal-fetch would have to call its
 * WAL absent, and a backup that brings enough WAL to be consistent would open short.
 */
export function claimsOn({ timelines, size, inventory }: Assessment, needs: readonly Need[]): Map<TimelineId, Claim[]> {
  const claims = new Map([...timelines.keys()].map((id): [TimelineId, Claim[]] => [id, []]));
  for (const need of needs) {
    claims.get(need.timeline)?.push({ need, from: numberAt(need.lsn, size) });
    for (const { timeline, fork } of timelines.get(need.timeline)?.descendants ?? []) {
      if (fork >= need.lsn) claims.get(timeline)?.push({ need, from: 0 });
    }
  }
  for (const [timeline, each] of claims) {
    each.sort((a, b) => a.from - b.from);
    const newest = newestOn(timeline, inventory);
    if (newest !== undefined && newest.from < (each[0]?.from ?? Infinity)) each.unshift(newest);
  }
  return claims;
}

function newestOn(timeline: TimelineId, { timelines, segmentSize }: Inventory): Claim | undefined {
  const segments = timelines.get(timeline)?.segments;
  if (segments === undefined || segments.count === 0) return undefined;
  const from = segments.numberAt(segments.count - 1);
  const reason =
    `the newest segment of timeline ${timeline}, or behind it: it stays so that a recovery onto this timeline stops ` +
    'before it, where WAL is missing, instead of opening short';
  return { need: { kind: 'newest', reason, timeline, lsn: startOf(from, segmentSize) }, from };
}

function needOf(
  { start }: BaseBackup,
  kind: Need['kind'],
  reason: string,
  { timelines }: Assessment,
): Need | undefined {
  const timeline = findTimeline(timelines, start.timeline);
  return timeline && { kind, reason, timeline: timeline.id, lsn: start.lsn };
}

const YOUNG = 'younger than keep_wal, or behind WAL that is';

function young({ inventory }: Assessment, { keepWalMs }: Policy, now: Date): Need[] {
  const since = now.getTime() - keepWalMs;
  return [...inventory.timelines].flatMap(([timeline, objects]): Need[] => {
    const first = firstYounger(objects, since);
    if (first === undefined) return [];
    return [{ kind: 'young', reason: YOUNG, timeline, lsn: startOf(first, inventory.segmentSize) }];
  });
}

function firstYounger({ segments, beside }: TimelineObjects, sinceMs: number): number | undefined {
  const first = beside.find(({ modifiedMs }) => modifiedMs > sinceMs)?.number;
  const number = Math.min(first ?? Infinity, segments.firstYounger(sinceMs) ?? Infinity);
  return number === Infinity ? undefined : number;
}

function unserved(assessment: Assessment, { live }: Choice): (Need | undefined)[] {
  return live
    .filter(({ hasBackup }) => !hasBackup)
    .flatMap(({ timeline: id }) => {
      const timeline = assessment.timelines.get(id);
      if (timeline === undefined) return [];
      const reason = `timeline ${id} is live, and no backup that the policy counts arrives there`;
      const leading = assessment.backups.filter(({ backup }) => leadsTo(timeline, backup, assessment));
      const theirs = leading.map(({ backup }) => needOf(backup, 'live', reason, assessment));
      return [{ kind: 'live' as const, reason, timeline: id, lsn: beginOf(timeline) }, ...theirs];
    });
}
