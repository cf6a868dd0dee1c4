import type { SystemId } from '../wal/control.ts';
import type { Lsn } from '../wal/lsn.ts';
import type { SegmentSize } from '../wal/name.ts';

/** A place in the write-ahead log: a position on a timeline. */
export interface WalPosition {
  readonly timeline: number;
  readonly lsn: Lsn;
}

/**
 * A base backup as its own files tell of it: what a restore of it needs from the archive, and when it was taken. It is
 * read from backup_manifest and backup_label (13 to 18), never from names.
 */
export interface BaseBackup {
  /** Where it lies, as messages show it: the URL of its location and the path in it. Unique. */
  readonly path: string;
  /** The label that pg_basebackup was given (backup_label, LABEL). */
  readonly label: string;
  readonly kind: 'full' | 'incremental';
  /** Undefined where its files do not tell (before 17 the manifest has none). */
  readonly systemId: SystemId | undefined;
  /** Undefined where its files do not tell. */
  readonly segmentSize: SegmentSize | undefined;
  /** The redo point: WAL is needed from the segment that holds it (START WAL LOCATION, START TIMELINE). */
  readonly start: WalPosition;
  /** Where it becomes consistent: WAL is needed up to this position, exclusive (the end of the manifest's last WAL-Range). */
  readonly stop: WalPosition;
  /** The ranges of the manifest, oldest first: start to stop over the timelines between. */
  readonly ranges: readonly { readonly timeline: number; readonly start: Lsn; readonly end: Lsn }[];
  readonly startedAt: Date;
  /** When it ended, as far as its files tell: of the manifest's newest file, or of the manifest itself. */
  readonly stoppedAt: Date;
  /** Of an incremental backup: where its parent started (INCREMENTAL FROM LSN, INCREMENTAL FROM TLI). */
  readonly incrementalFrom: WalPosition | undefined;
  /** Names of the segments that it brings in its own pg_wal (whole ones). */
  readonly ownWal: ReadonlySet<string>;
  /** Why its files alone can't be restored, each a clause; empty where manifest, files and sizes are right. */
  readonly problems: readonly string[];
}
