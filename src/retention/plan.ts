/** The plan of a prune: what goes, what stays, and why. A pure function of what is there, the policy and the time. */
import type { TimelineId } from '../wal/name.ts';
import type { BaseBackup } from './base-backup.ts';
import { checkClock } from './clock.ts';
import { claimsOn, needsOf, type Claim, type KeepKind } from './needs.ts';
import { extentOf, inOrder, measure, objectsOf, type Doomed, type Stretch } from './order.ts';
import { choose, type LiveTimeline, type Policy } from './policy.ts';
import { reachOf, type Reach } from './reach.ts';
import { nameOf } from './segment-number.ts';
import type { Assessment, AssessedBackup } from './assess.ts';
import { ArchivedWal } from './way.ts';

/** A stretch of a timeline that is kept, or goes, for one reason. */
export interface Decision extends Stretch {
  /** Names of segments: the first and the last one that is there; the same names where only side objects are. */
  readonly first: string;
  readonly last: string;
  /** Segments, `.partial` and `.backup` objects. */
  readonly count: number;
  readonly bytes: number;
  readonly reason: string;
}

/** What stays, with what its reason is made of. */
export interface Keeping extends Decision {
  readonly because: readonly KeepKind[];
}

export interface KeptBackup {
  readonly assessed: AssessedBackup;
  readonly reasons: readonly string[];
}

/** A backup that the policy does not keep, and what the plan leaves of its WAL. */
export interface GivenUpBackup {
  readonly assessed: AssessedBackup;
  /**
   * `as-before`: it loses nothing, as others need the same WAL. `shorter`: it stays consistent by the WAL that it
   * brings itself, but what follows is not whole any more: restore it with recovery_target = 'immediate' only
   * (and, from 15 on, with recovery_prefetch = off: the server would look ahead, and wal-fetch stop it at the gap).
   * `already-short`: this plan takes nothing from it, but its windows show a gap, most often by an earlier prune.
   * `lost`: it can't be restored from this archive any more. `not-restorable`: it could not be before.
   */
  readonly becomes: 'as-before' | 'shorter' | 'already-short' | 'lost' | 'not-restorable';
  /** Kept incremental backups that need its files, which must stay where they are. */
  readonly parentOf: readonly BaseBackup[];
}

export interface Plan {
  readonly assessment: Assessment;
  readonly policy: Policy;
  readonly now: Date;
  /** Oldest first, as are those that are given up. */
  readonly kept: readonly KeptBackup[];
  readonly givenUp: readonly GivenUpBackup[];
  readonly live: readonly LiveTimeline[];
  /** What stays of WAL, by timeline and segment. History files and what is no WAL stay besides. */
  readonly keeps: readonly Keeping[];
  /** What goes, in the order in which it goes. */
  readonly deletes: readonly Decision[];
  /** Who claims what of each timeline, the lowest segments first. */
  readonly claims: ReadonlyMap<TimelineId, readonly Claim[]>;
}

/**
 * Plans a prune. It says what goes only if all that it stands on makes sense. Errors: Failure `usage` for a policy that
 * says nothing or names what is not there; `invalid` where no backup is restorable or clocks contradict each other.
 */
export function planPrune(assessment: Assessment, policy: Policy, now: Date): Plan {
  checkClock(assessment, now);
  const choice = choose(assessment, policy, now);
  const claims = claimsOn(assessment, needsOf(assessment, choice, policy, now));
  const cuts = new Map([...claims].map(([id, [lowest]]) => [id, lowest?.from ?? Infinity]));
  const remaining = new ArchivedWal(assessment.inventory, cuts);
  for (const assessed of choice.kept.keys()) proveUntouched(assessed, assessment, remaining);
  const deletes = inOrder(assessment.timelines, cuts, assessment.size).map((stretch) =>
    decide(stretch, whyGone(stretch.timeline, claims, assessment), assessment),
  );
  return {
    assessment,
    policy,
    now,
    kept: [...choice.kept].map(([assessed, reasons]) => ({ assessed, reasons })),
    givenUp: assessment.backups
      .filter((assessed) => !choice.kept.has(assessed))
      .map((assessed) => ({
        assessed,
        becomes: fateOf(assessed, assessment, remaining),
        parentOf: choice.parents.get(assessed.backup) ?? [],
      })),
    live: choice.live,
    keeps: [...claims].flatMap(([id, own]) => keepsOn(id, own, assessment)).filter(({ count }) => count > 0),
    deletes: deletes.filter(({ count }) => count > 0),
    claims,
  };
}

/** Every object that goes, in the order in which it goes; made as it is asked for, as there may be millions. */
export function* doomed({ deletes, assessment }: Plan): Generator<Doomed> {
  for (const stretch of deletes) yield* objectsOf(stretch, assessment.inventory);
}

/** Nothing is deleted on trust: what stays must bring each kept backup as far as all that is there does. */
function proveUntouched(
  { backup, problems, windows }: AssessedBackup,
  assessment: Assessment,
  remaining: ArchivedWal,
): void {
  if (problems.length > 0) return;
  if (!isSame(reachOf(backup, assessment, remaining), windows)) {
    throw new Error(`the plan takes WAL from the kept backup ${backup.path}`);
  }
}

function fateOf(assessed: AssessedBackup, assessment: Assessment, remaining: ArchivedWal): GivenUpBackup['becomes'] {
  if (assessed.problems.length > 0) return 'not-restorable';
  const reach = reachOf(assessed.backup, assessment, remaining);
  if (reach.problem !== undefined) return 'lost';
  if (!isSame(reach, assessed.windows)) return 'shorter';
  return assessed.windows.some(({ gap }) => gap !== undefined) ? 'already-short' : 'as-before';
}

function isSame(reach: Reach, windows: Reach['windows']): boolean {
  if (reach.problem !== undefined || reach.windows.length !== windows.length) return false;
  return windows.every(({ timeline, end }, index) => {
    const other = reach.windows[index];
    return other?.timeline === timeline && other.end === end;
  });
}

/** What backups need is told apart from what is only young. */
function keepsOn(timeline: TimelineId, claims: readonly Claim[], assessment: Assessment): Keeping[] {
  const [lowest] = claims;
  if (lowest === undefined) return [];
  const backups = claims.filter(({ need }) => need.kind === 'backup');
  const firm = backups[0]?.from ?? Infinity;
  const others = claims.filter(({ need, from }) => need.kind !== 'backup' && from < firm).map(({ need }) => need);
  const reasons = new Set(others.map(({ reason }) => reason));
  const because = [...new Set(others.map(({ kind }) => kind))];
  const loose = decide({ timeline, from: lowest.from, to: firm }, [...reasons].join('; '), assessment);
  const keeps: Keeping[] = lowest.from < firm ? [{ ...loose, because }] : [];
  if (firm === Infinity) return keeps;
  const more = backups.length === 1 ? '' : `, and by ${backups.length - 1} more`;
  const reason = `needed by ${backups[0]?.need.reason ?? ''}${more}`;
  return [...keeps, { ...decide({ timeline, from: firm, to: Infinity }, reason, assessment), because: ['backup'] }];
}

function whyGone(
  timeline: TimelineId,
  claims: ReadonlyMap<TimelineId, readonly Claim[]>,
  { size }: Assessment,
): string {
  const lowest = (claims.get(timeline) ?? []).find(({ need }) => need.kind !== 'newest');
  if (lowest === undefined) return `no kept backup leads to timeline ${timeline}, and nothing of it is young`;
  return `needed by none: what is kept of timeline ${timeline} begins with ${nameOf(timeline, lowest.from, size).name} (${lowest.need.reason})`;
}

function decide(stretch: Stretch, reason: string, { inventory, size }: Assessment): Decision {
  const extent = extentOf(stretch, inventory);
  const name = (number: number): string => nameOf(stretch.timeline, number, size).name;
  const [first, last] = extent ? [name(extent[0]), name(extent[1])] : ['', ''];
  return { ...stretch, first, last, ...measure(stretch, inventory), reason };
}
