/** What is there: the timelines, the WAL and the backups of one archive, and what each backup can be brought to. */
import { Failure } from '../exit.ts';
import { formatTimeline, toTimelineId, type TimelineId } from '../wal/name.ts';
import type { BaseBackup } from './base-backup.ts';
import { linkChains, type Chain } from './chains.ts';
import type { Inventory } from './inventory.ts';
import { reachOf, type Ways, type Window } from './reach.ts';
import { nameOf, numberAt } from './segment-number.ts';
import { decideSegmentSize, evidenceOfBackups, evidenceOfHistory } from './segment-size.ts';
import { beginOf, buildTimelines, type HistoryFile } from './timelines.ts';
import { vouchedBackups, type HistoryOfBackup } from './vouched.ts';
import { ArchivedWal, legsOf } from './way.ts';

export interface Holdings {
  readonly inventory: Inventory;
  /** Every history file of the inventory, opened. */
  readonly histories: readonly HistoryFile[];
  /** From all locations. */
  readonly backups: readonly BaseBackup[];
  /** The backup history files of the archive, opened; none are needed where none are vouched for. */
  readonly backupHistories: readonly HistoryOfBackup[];
  /** Labels of backups that are kept where we can't look. */
  readonly vouchedLabels: readonly string[];
}

export interface AssessedBackup {
  readonly backup: BaseBackup;
  /** Known from its backup history file only. */
  readonly isVouched: boolean;
  readonly chain: Chain;
  /** Why it can't be restored; empty where it can. */
  readonly problems: readonly string[];
  /** The timelines on whose ways it can be made consistent, where it can be restored. */
  readonly consistentOn: readonly TimelineId[];
  /** How far it can be recovered, where it can be restored. */
  readonly windows: readonly Window[];
}

export interface Assessment extends Ways {
  readonly inventory: Inventory;
  /** The oldest first, by the time when they ended. */
  readonly backups: readonly AssessedBackup[];
  readonly chains: ReadonlyMap<BaseBackup, Chain>;
}

/**
 * Puts together what is there. Errors: Failure `invalid` where histories, segments and backups contradict each other;
 * `usage` for a label that vouches for nothing.
 */
export function assess(holdings: Holdings): Assessment {
  const { inventory, histories, backupHistories, vouchedLabels } = holdings;
  requireHistories(inventory, histories);
  requireOneSize(holdings);
  const timelines = buildTimelines(histories, inventory.timelines.keys());
  const legs = new Map([...timelines].map(([id, timeline]) => [id, legsOf(timeline, inventory.segmentSize)]));
  const ways: Ways = { timelines, legs, size: inventory.segmentSize };
  for (const id of inventory.timelines.keys()) refuseWalBeforeBegin(id, inventory, ways);
  const vouched = new Set(vouchedBackups(vouchedLabels, backupHistories, inventory));
  const all = [...holdings.backups, ...vouched].sort(byAge);
  const chains = linkChains(all.filter((backup) => foreignness(backup, inventory) === undefined));
  const wal = new ArchivedWal(inventory);
  const backups = all.map((backup): AssessedBackup => {
    const foreign = foreignness(backup, inventory);
    const chain = chains.get(backup) ?? { parents: [], problems: foreign === undefined ? [] : [foreign] };
    const { problem, consistentOn, windows } = reachOf(backup, ways, wal);
    const problems = problem === undefined || foreign !== undefined ? chain.problems : [...chain.problems, problem];
    const isFine = problems.length === 0;
    const reach = { consistentOn: isFine ? consistentOn : [], windows: isFine ? windows : [] };
    return { backup, isVouched: vouched.has(backup), chain, problems, ...reach };
  });
  return { ...ways, inventory, backups, chains };
}

/** A history that was listed and not read may be the one that says where the WAL goes on. */
function requireHistories(inventory: Inventory, histories: readonly HistoryFile[]): void {
  const read = new Set(histories.map(({ timeline }) => timeline));
  const unread = inventory.histories.find(({ name }) => !read.has(name.timeline));
  if (unread !== undefined) throw new Failure('invalid', `${unread.name.name} is in the archive, and was not read`);
}

function requireOneSize({ inventory, backups, backupHistories }: Holdings): void {
  const ours = backups.filter((backup) => isOfCluster(backup, inventory));
  decideSegmentSize([
    { source: 'the size that was chosen', fits: [inventory.segmentSize] },
    ...evidenceOfBackups(ours),
    ...backupHistories.map(({ name, history }) => evidenceOfHistory(name, history)),
  ]);
}

function isOfCluster({ systemId }: BaseBackup, inventory: Inventory): boolean {
  return systemId === undefined || systemId === inventory.systemId;
}

/**
 * Why a backup does not count as one of this cluster. Before 17 a manifest does not tell its cluster, and tars without
 * WAL do not either. Every cluster has a timeline 1, and low LSNs: a backup of another one may look restorable here, and
 * push out one of ours. Its backup history file in this archive proves it ours: that names the byte where it starts.
 */
function foreignness(
  { systemId, start }: BaseBackup,
  { systemId: ours, timelines, segmentSize }: Inventory,
): string | undefined {
  if (systemId === ours) return undefined;
  if (systemId !== undefined) return `it is of another cluster, ${systemId}`;
  const timeline = toTimelineId(start.timeline);
  const segment = timeline && nameOf(timeline, numberAt(start.lsn, segmentSize), segmentSize).name;
  const offset = (start.lsn % BigInt(segmentSize)).toString(16).toUpperCase().padStart(8, '0');
  const wanted = `${segment ?? ''}.${offset}.backup`;
  const isProven = timeline && timelines.get(timeline)?.beside.some(({ name }) => name.name === wanted);
  return isProven
    ? undefined
    : `nothing tells that it is of this cluster: neither its files, nor ${wanted} in the archive`;
}

/** Such a segment was written by another timeline of that number: of a copy that was promoted on its own. */
function refuseWalBeforeBegin(id: TimelineId, { timelines, segmentSize }: Inventory, ways: Ways): void {
  const timeline = ways.timelines.get(id);
  const objects = timelines.get(id);
  if (timeline === undefined || objects === undefined) return;
  const begin = numberAt(beginOf(timeline), segmentSize);
  const { segments, beside } = objects;
  const lowest = Math.min(segments.count > 0 ? segments.numberAt(0) : Infinity, beside[0]?.number ?? Infinity);
  if (lowest >= begin) return;
  throw new Failure(
    'invalid',
    `${nameOf(id, lowest, segmentSize).name} lies before the begin of timeline ${id}, in ${nameOf(id, begin, segmentSize).name}, ` +
      `as ${formatTimeline(id)}.history and its like tell`,
    {
      hint:
        'Two copies of the cluster have used this timeline number, or a history file is not what it was. Nothing is deleted ' +
        'while it is unclear whose WAL this is.',
    },
  );
}

function byAge(a: BaseBackup, b: BaseBackup): number {
  const time = a.stoppedAt.getTime() - b.stoppedAt.getTime();
  if (time !== 0) return time;
  if (a.stop.lsn !== b.stop.lsn) return a.stop.lsn < b.stop.lsn ? -1 : 1;
  return a.path < b.path ? -1 : 1;
}
