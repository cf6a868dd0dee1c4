/** Which backups are kept, and for whose sake. */
import { Failure } from '../exit.ts';
import type { TimelineId } from '../wal/name.ts';
import type { BaseBackup } from './base-backup.ts';
import { showPosition, withAncestors } from './chains.ts';
import type { TimelineObjects } from './inventory.ts';
import { matches } from './pattern.ts';
import type { Assessment, AssessedBackup } from './assess.ts';
import { beginOf, type Timeline } from './timelines.ts';

export interface Policy {
  /** How many of the newest restorable full backups, with their incrementals. */
  readonly keepBackups?: number;
  /** Any moment of this many last days. */
  readonly keepDays?: number;
  /** Nothing younger than this goes. */
  readonly keepWalMs: number;
  /** A timeline whose newest object is older than this is no live one. */
  readonly strayAfterMs: number;
  /** Patterns of labels and paths: such backups are kept whatever else is said. */
  readonly keep: readonly string[];
}

/** A timeline to whose end the policy keeps the way open. */
export interface LiveTimeline {
  readonly timeline: TimelineId;
  /** Milliseconds since 1970. */
  readonly newestMs: number;
  /** Whether the policy keeps backups for it; where none arrives there, its WAL and that of all that could lead to it stays. */
  readonly hasBackup: boolean;
}

/** What the policy chooses. */
export interface Choice {
  /** Kept backups with the reasons, each a clause. */
  readonly kept: ReadonlyMap<AssessedBackup, readonly string[]>;
  /** Backups whose files kept incremental ones build upon, with these. Some may be kept themselves. */
  readonly parents: ReadonlyMap<BaseBackup, readonly BaseBackup[]>;
  readonly live: readonly LiveTimeline[];
}

const DAY_MS = 86_400_000;

/**
 * Chooses the backups that are kept. More is kept the more a policy asks for: it is a union. Errors: Failure `usage`
 * without a policy, and for a pin that matches nothing; `invalid` where no backup is restorable.
 */
export function choose(assessment: Assessment, policy: Policy, now: Date): Choice {
  requirePolicy(policy);
  const restorable = assessment.backups.filter(({ problems }) => problems.length === 0);
  if (restorable.length === 0) throw noneRestorable(assessment);
  const reasons = new Reasons();
  const live = liveTimelines(assessment, policy, now).map(([timeline, newestMs]): LiveTimeline => {
    const leading = restorable.filter(({ consistentOn }) => consistentOn.includes(timeline.id)).reverse();
    if (policy.keepBackups !== undefined) keepNewest(leading, policy.keepBackups, timeline, reasons);
    if (policy.keepDays !== undefined) keepSince(leading, policy.keepDays, timeline, now, reasons);
    // It must not depend on how much is asked for: asking for more would keep less.
    const arriving = leading.filter((backup) => arrivesAt(timeline, backup, assessment));
    const isEnough = policy.keepBackups === undefined || arriving.some(({ backup }) => backup.kind === 'full');
    return { timeline: timeline.id, newestMs, hasBackup: isEnough && arriving.length > 0 };
  });
  keepIncrementals(restorable, assessment, reasons);
  keepPinned(policy.keep, assessment, reasons);
  return { kept: reasons.inOrder(assessment.backups), parents: parentsOf(reasons, assessment), live };
}

/** Errors: Failure `usage` where nothing says how much is to be kept. */
export function requirePolicy({ keepBackups, keepDays }: Pick<Policy, 'keepBackups' | 'keepDays'>): void {
  if (keepBackups !== undefined || keepDays !== undefined) return;
  throw new Failure('usage', 'no policy says what is to be kept', {
    hint: 'Say keep_backups = 2, or keep_days = 14, or both, above the first table of the settings.',
  });
}

class Reasons {
  readonly #all = new Map<AssessedBackup, string[]>();

  add(backup: AssessedBackup, reason: string): void {
    const known = this.#all.get(backup);
    if (known === undefined) this.#all.set(backup, [reason]);
    else if (!known.includes(reason)) known.push(reason);
  }

  backups(): AssessedBackup[] {
    return [...this.#all.keys()];
  }

  inOrder(all: readonly AssessedBackup[]): Map<AssessedBackup, readonly string[]> {
    return new Map(
      all.flatMap((backup) => {
        const reasons = this.#all.get(backup);
        return reasons ? [[backup, reasons]] : [];
      }),
    );
  }
}

function noneRestorable({ backups, inventory }: Assessment): Failure {
  const all = backups.map(({ backup, problems }) => `\n  ${backup.path}: ${problems.join('; ')}`).join('');
  const fact =
    backups.length === 0 ? 'no base backup is known' : `none of ${backups.length} base backups is restorable:${all}`;
  return new Failure('invalid', `${fact}${backups.length === 0 ? ` of system ${inventory.systemId}` : ''}`, {
    hint:
      'Nothing is deleted: WAL is worth something only with a backup to start from. Take one with pg_basebackup, and name where ' +
      'backups lie under [[backups]].',
  });
}

/**
 * Timelines with an object that is younger than `strayAfterMs`. The one with the newest object counts always: an
 * archive that nobody pushes to any more is not made of strays.
 */
function liveTimelines(
  { inventory, timelines }: Assessment,
  { strayAfterMs }: Policy,
  now: Date,
): [Timeline, number][] {
  const histories = new Map(inventory.histories.map(({ name, modifiedMs }) => [name.timeline, modifiedMs]));
  const newest = [...timelines.values()].flatMap((timeline): [Timeline, number][] => {
    const objects = inventory.timelines.get(timeline.id);
    const ms = Math.max(objects ? newestOf(objects) : -Infinity, histories.get(timeline.id) ?? -Infinity);
    return ms === -Infinity ? [] : [[timeline, ms]];
  });
  const limit = Math.min(now.getTime() - strayAfterMs, Math.max(...newest.map(([, ms]) => ms)));
  return newest.filter(([, ms]) => ms >= limit);
}

/** Of all objects that a timeline has. */
export function newestOf({ segments, beside }: TimelineObjects): number {
  return beside.reduce((newest, { modifiedMs }) => Math.max(newest, modifiedMs), segments.newestMs() ?? -Infinity);
}

/** Whether the WAL that is there brings a backup that leads to a timeline into it, not only to a gap before it. */
function arrivesAt(timeline: Timeline, { backup, windows }: AssessedBackup, { inventory }: Assessment): boolean {
  // A timeline without a segment begins where its way ends: nothing more can be asked.
  if (backup.stop.timeline === timeline.id || inventory.timelines.get(timeline.id) === undefined) return true;
  return windows.some((window) => window.timeline === timeline.id && window.end > beginOf(timeline));
}

/** `leading`: newest first. Copies of one backup, and what vouches for it once more, count as one. */
function keepNewest(leading: readonly AssessedBackup[], count: number, { id }: Timeline, reasons: Reasons): void {
  const full = leading.filter(({ backup }) => backup.kind === 'full');
  const starts = [...new Set(full.map(({ backup }) => showPosition(backup.start)))].slice(0, count);
  const kept = full.filter(({ backup }) => starts.includes(showPosition(backup.start)));
  const what = count === 1 ? 'the newest full backup that leads' : `one of the ${count} newest full backups that lead`;
  for (const backup of kept) reasons.add(backup, `${what} to timeline ${id}`);
}

/** `leading`: newest first. */
function keepSince(
  leading: readonly AssessedBackup[],
  days: number,
  { id }: Timeline,
  now: Date,
  reasons: Reasons,
): void {
  const since = now.getTime() - days * DAY_MS;
  const span = days === 1 ? 'the last day' : `the last ${days} days`;
  const inside = leading.filter(({ backup }) => backup.stoppedAt.getTime() >= since);
  for (const backup of inside) reasons.add(backup, `it ended within ${span}, and leads to timeline ${id}`);
  const before = leading.find(({ backup }) => backup.stoppedAt.getTime() < since);
  if (before) reasons.add(before, `the newest that ended before ${span}, and leads to timeline ${id}`);
}

/** A full backup is kept with the incremental ones that build upon it. */
function keepIncrementals(restorable: readonly AssessedBackup[], { chains }: Assessment, reasons: Reasons): void {
  const full = new Set(
    reasons
      .backups()
      .map(({ backup }) => backup)
      .filter(({ kind }) => kind === 'full'),
  );
  for (const assessed of restorable) {
    if (assessed.backup.kind === 'full') continue;
    const base = [...withAncestors(assessed.backup, chains)].find((backup) => full.has(backup));
    if (base) reasons.add(assessed, `it builds upon ${base.path}`);
  }
}

/** Pinned backups are kept also where they can't be restored: the operator may know how. */
function keepPinned(patterns: readonly string[], { backups }: Assessment, reasons: Reasons): void {
  for (const pattern of patterns) {
    const pinned = backups.filter(({ backup }) => isNamed(backup, pattern));
    if (pinned.length === 0) {
      throw new Failure('usage', `keep = "${pattern}" matches no backup`, {
        hint: 'It is compared with labels, with whole paths, and with the last part of a path. Correct it, or take it out of the settings.',
      });
    }
    for (const backup of pinned) reasons.add(backup, `keep = "${pattern}"`);
  }
}

/** Whether a pattern means this backup: its label, its path, or the last part of that. */
export function isNamed({ label, path }: BaseBackup, pattern: string): boolean {
  return [label, path, path.split('/').at(-1) ?? path].some((text) => matches(pattern, text));
}

function parentsOf(reasons: Reasons, { chains }: Assessment): Map<BaseBackup, BaseBackup[]> {
  const parents = new Map<BaseBackup, BaseBackup[]>();
  for (const { backup } of reasons.backups()) {
    for (const ancestor of withAncestors(backup, chains)) {
      if (ancestor !== backup) parents.set(ancestor, [...(parents.get(ancestor) ?? []), backup]);
    }
  }
  return parents;
}
