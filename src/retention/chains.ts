import { formatLsn } from '../wal/lsn.ts';
import type { BaseBackup, WalPosition } from './base-backup.ts';

/** What the files of a backup, and of those that it builds upon, say of it. */
export interface Chain {
  /** Of an incremental backup: every backup that can be its parent. Several where they started at the same place. */
  readonly parents: readonly BaseBackup[];
  /** Why its files can't be restored; empty where they can. */
  readonly problems: readonly string[];
}

/**
 * Links incremental backups to what they build upon. The server tracks no dependencies: an incremental backup says
 * only where its parent started (INCREMENTAL FROM in backup_label), so every backup that started there may be it.
 */
export function linkChains(backups: readonly BaseBackup[]): ReadonlyMap<BaseBackup, Chain> {
  const byStart = Map.groupBy(backups, ({ start }) => showPosition(start));
  const chains = new Map<BaseBackup, Chain>();
  // A parent starts before its child, so that it is linked by then.
  for (const backup of backups.toSorted((a, b) => compareLsn(a, b))) chains.set(backup, link(backup, byStart, chains));
  return chains;
}

/** The backup, and all that it can build upon. */
export function withAncestors(backup: BaseBackup, chains: ReadonlyMap<BaseBackup, Chain>): Set<BaseBackup> {
  const all = new Set([backup]);
  // A set gives what is added while it is walked.
  for (const each of all) for (const parent of chains.get(each)?.parents ?? []) all.add(parent);
  return all;
}

/** A position as messages show it, such as `0/2000028 on timeline 1`. */
export function showPosition({ timeline, lsn }: WalPosition): string {
  return `${formatLsn(lsn)} on timeline ${timeline}`;
}

function link(
  backup: BaseBackup,
  byStart: ReadonlyMap<string, readonly BaseBackup[]>,
  chains: ReadonlyMap<BaseBackup, Chain>,
): Chain {
  const { kind, incrementalFrom: from, problems, start } = backup;
  if (kind === 'full') return { parents: [], problems };
  if (from === undefined)
    return { parents: [], problems: [...problems, 'it does not say which backup it builds upon'] };
  if (from.lsn >= start.lsn) {
    return {
      parents: [],
      problems: [...problems, `it builds upon a backup from ${showPosition(from)}, after its own start`],
    };
  }
  const candidates = byStart.get(showPosition(from)) ?? [];
  if (candidates.length === 0) {
    return {
      parents: [],
      problems: [...problems, `the backup that it builds upon, from ${showPosition(from)}, is not there`],
    };
  }
  const parents = candidates.filter((candidate) => chains.get(candidate)?.problems.length === 0);
  if (parents.length > 0) return { parents, problems };
  const reasons = candidates.map(({ path }) => path).join(', ');
  return { parents, problems: [...problems, `what it builds upon can't be restored: ${reasons}`] };
}

function compareLsn(a: BaseBackup, b: BaseBackup): number {
  if (a.start.lsn === b.start.lsn) return 0;
  return a.start.lsn < b.start.lsn ? -1 : 1;
}
