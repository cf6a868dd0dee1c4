import { Failure } from '../exit.ts';
import type { BackupHistory } from '../wal/backup.ts';
import type { BaseBackup } from './base-backup.ts';
import type { Inventory, SideObject } from './inventory.ts';
import { matches } from './pattern.ts';

/** A backup history file of the archive, opened. */
export interface HistoryOfBackup {
  /** The object's name, such as `000000010000000000000002.00000028.backup`. */
  readonly name: string;
  readonly history: BackupHistory;
}

const NO_WAL: ReadonlySet<string> = new Set();

/**
 * The backups that `history_files` vouches for: those whose backup history file in the archive has such a label. They
 * are taken to be whole, wherever they are. What their times say depends on the server's log_timezone, so the time
 * when the file was archived, at the backup's end, stands for both. Errors: Failure `usage` for a pattern that no file
 * has: a typing error would give up what it was meant to keep.
 */
export function vouchedBackups(
  patterns: readonly string[],
  files: readonly HistoryOfBackup[],
  inventory: Inventory,
): BaseBackup[] {
  for (const pattern of patterns) {
    if (files.some(({ history }) => matches(pattern, history.label))) continue;
    throw new Failure('usage', `history_files = "${pattern}" matches no backup history file of the archive`, {
      hint: 'It is compared with the label that pg_basebackup was given (--label). Correct it, or take it out.',
    });
  }
  const objects = new Map(
    [...inventory.timelines.values()].flatMap(({ beside }) => beside.map((side) => [side.name.name, side])),
  );
  return files
    .filter(({ history }) => patterns.some((pattern) => matches(pattern, history.label)))
    .flatMap((file) => {
      const object = objects.get(file.name);
      return object ? [vouched(file, object, inventory)] : [];
    });
}

function vouched({ name, history }: HistoryOfBackup, object: SideObject, inventory: Inventory): BaseBackup {
  const { incrementalFrom, startTimeline, start, stopTimeline, stop } = history;
  const ended = new Date(object.modifiedMs);
  return {
    path: name,
    label: history.label,
    kind: incrementalFrom ? 'incremental' : 'full',
    systemId: inventory.systemId,
    segmentSize: inventory.segmentSize,
    start: { timeline: startTimeline, lsn: start },
    stop: { timeline: stopTimeline, lsn: stop },
    ranges: startTimeline === stopTimeline ? [{ timeline: startTimeline, start, end: stop }] : [],
    startedAt: ended,
    stoppedAt: ended,
    incrementalFrom,
    ownWal: NO_WAL,
    problems: [],
  };
}
