import { WalFormatError } from './error.ts';
import { parseLsn, type Lsn } from './lsn.ts';
import { parseWalName, toTimelineId, type SegmentName, type TimelineId } from './name.ts';

/** What a base backup says of itself: backup_label, and the .backup file less its end. */
export interface BackupLabel {
  /** The redo point: nothing before it is needed. */
  readonly start: Lsn;
  readonly startSegment: SegmentName;
  readonly checkpoint: Lsn;
  readonly method: string;
  readonly from: 'primary' | 'standby';
  /** In the words and the time zone of the server's log. */
  readonly startTime: string;
  readonly label: string;
  readonly startTimeline: TimelineId;
  /** Where the backup is incremental (17 and later): the start of the one before it. */
  readonly incrementalFrom?: { readonly lsn: Lsn; readonly timeline: TimelineId };
}

/** A backup history file: a backup that came to its end. */
export interface BackupHistory extends BackupLabel {
  /** The first byte that is not needed to reach consistency. The file name beside it differs between versions: use this. */
  readonly stop: Lsn;
  readonly stopTime: string;
  readonly stopTimeline: TimelineId;
}

const LSN = '([0-9A-F]{1,8}/[0-9A-F]{1,8})';
/** In the server's order (build_backup_content in xlogbackup.c); the label, a user's words, may hold newlines, even some that look like ours. */
const HEAD = `START WAL LOCATION: (?<start>${LSN}) \\(file (?<file>[0-9A-F]{24})\\)\\n`;
const STOP = `STOP WAL LOCATION: (?<stop>${LSN}) \\(file [0-9A-F]{24}\\)\\n`;
const BODY =
  `CHECKPOINT LOCATION: (?<checkpoint>${LSN})\\n` +
  'BACKUP METHOD: (?<method>[^\\n]*)\\n' +
  'BACKUP FROM: (?<from>primary|master|standby)\\n' +
  'START TIME: (?<startTime>[^\\n]*)\\n' +
  'LABEL: (?<label>[^]*)\\n' +
  'START TIMELINE: (?<startTimeline>\\d+)\\n';
const STOPPED = 'STOP TIME: (?<stopTime>[^\\n]*)\\nSTOP TIMELINE: (?<stopTimeline>\\d+)\\n';
const INCREMENTAL = `(?:INCREMENTAL FROM LSN: (?<fromLsn>${LSN})\\nINCREMENTAL FROM TLI: (?<fromTimeline>\\d+)\\n)?`;

const LABEL_FILE = new RegExp(`^${HEAD}${BODY}${INCREMENTAL}$`);
const HISTORY_FILE = new RegExp(`^${HEAD}${STOP}${BODY}${STOPPED}${INCREMENTAL}$`);

type Fields = Readonly<Record<string, string | undefined>>;

/** Reads backup_label. Errors: WalFormatError. */
export function parseBackupLabel(text: string): BackupLabel {
  const fields = LABEL_FILE.exec(text)?.groups;
  if (fields === undefined) throw new WalFormatError(`this is not a backup_label: ${excerpt(text)}`);
  return readLabel(fields);
}

/** Reads a .backup file. Errors: WalFormatError. */
export function parseBackupHistory(text: string): BackupHistory {
  const fields = HISTORY_FILE.exec(text)?.groups;
  if (fields === undefined) throw new WalFormatError(`this is not a backup history file: ${excerpt(text)}`);
  return {
    ...readLabel(fields),
    stop: parseLsn(field(fields, 'stop')),
    stopTime: field(fields, 'stopTime'),
    stopTimeline: timelineOf(field(fields, 'stopTimeline')),
  };
}

function readLabel(fields: Fields): BackupLabel {
  const startTimeline = timelineOf(field(fields, 'startTimeline'));
  const { fromLsn, fromTimeline } = fields;
  return {
    start: parseLsn(field(fields, 'start')),
    startSegment: segmentOf(field(fields, 'file'), startTimeline),
    checkpoint: parseLsn(field(fields, 'checkpoint')),
    method: field(fields, 'method'),
    // 'master' in the server 13.
    from: field(fields, 'from') === 'standby' ? 'standby' : 'primary',
    startTime: field(fields, 'startTime'),
    label: field(fields, 'label'),
    startTimeline,
    ...(fromLsn !== undefined &&
      fromTimeline !== undefined && {
        incrementalFrom: { lsn: parseLsn(fromLsn), timeline: timelineOf(fromTimeline) },
      }),
  };
}

function segmentOf(text: string, timeline: TimelineId): SegmentName {
  const name = parseWalName(text);
  if (name?.kind !== 'segment' || name.timeline !== timeline) {
    throw new WalFormatError(`a backup starts in file ${text}, but on timeline ${timeline}`);
  }
  return name;
}

function timelineOf(digits: string): TimelineId {
  const timeline = toTimelineId(Number(digits));
  if (timeline === undefined) throw new WalFormatError(`a backup names the timeline ${digits}, which can't exist`);
  return timeline;
}

function field(fields: Fields, name: string): string {
  const value = fields[name];
  if (value === undefined) throw new WalFormatError(`a backup says nothing of its ${name}`);
  return value;
}

function excerpt(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}
