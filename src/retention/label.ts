import { parseBackupLabel, type BackupLabel } from '../wal/backup.ts';
import { WalFormatError } from '../wal/error.ts';
import { formatLsn } from '../wal/lsn.ts';
import { segmentNameAt, toSegmentSize, type SegmentSize } from '../wal/name.ts';
import { differenceFrom } from './described.ts';
import type { ManifestFile } from './manifest.ts';

/** Bytes of a backup_label: the label itself has at most 1,024. */
export const LABEL_MAX = 16 * 1024;
const SIZES = Array.from({ length: 11 }, (_, power) => toSegmentSize(2 ** (20 + power))).filter(
  (size) => size !== undefined,
);
/** `%Y-%m-%d %H:%M:%S %Z` (build_backup_content in xlogbackup.c). */
const START_TIME = /^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d) (?:(UTC|GMT)|([+-]\d\d)(\d\d)?)$/;

/** What backup_label tells. */
export interface LabelFacts {
  readonly label: BackupLabel;
  /** What its position and its file name have in common. Undefined where several sizes fit: in the first segment of 4 GiB. */
  readonly segmentSize: SegmentSize | undefined;
}

/** Reads backup_label, which must be what the manifest describes. Errors: WalFormatError. */
export function readLabel(bytes: Buffer, described: ManifestFile | undefined): LabelFacts {
  const difference = differenceFrom(described, bytes);
  if (difference !== undefined) throw new WalFormatError(difference);
  const label = parseBackupLabel(bytes.toString('utf8'));
  return { label, segmentSize: segmentSizeOf(label) };
}

function segmentSizeOf({ start, startSegment, startTimeline }: BackupLabel): SegmentSize | undefined {
  const sizes = SIZES.filter((size) => segmentNameAt(startTimeline, start, size).name === startSegment.name);
  if (sizes.length === 0) {
    throw new WalFormatError(`it says that ${formatLsn(start)} lies in the file ${startSegment.name}`);
  }
  return sizes.length === 1 ? sizes[0] : undefined;
}

/** When the backup started; undefined where the time zone is a name, which may mean many. */
export function startTimeOf(label: BackupLabel): Date | undefined {
  const [, day, time, , hours, minutes = '00'] = START_TIME.exec(label.startTime) ?? [];
  if (day === undefined || time === undefined) return undefined;
  const date = new Date(`${day}T${time}${hours === undefined ? 'Z' : `${hours}:${minutes}`}`);
  return Number.isNaN(date.getTime()) ? undefined : date;
}
