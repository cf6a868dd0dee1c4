import { toLsn, type Lsn } from './lsn.ts';

declare const timelineBrand: unique symbol;
declare const sizeBrand: unique symbol;

/** A timeline: 1 to 2^32 - 1. */
export type TimelineId = number & { readonly [timelineBrand]: true };

/** The size of a segment in bytes: a power of two from 1 MiB to 1 GiB (IsValidWalSegSize in xlog_internal.h). */
export type SegmentSize = number & { readonly [sizeBrand]: true };

/** Where a segment lies, as its name says it; what that means in bytes depends on the segment size. */
export interface SegmentPosition {
  /** The second part: which 4 GiB of WAL. */
  readonly log: number;
  /** The third part: which segment in these 4 GiB. */
  readonly seg: number;
}

interface Named extends SegmentPosition {
  /** The file's name, whole. */
  readonly name: string;
  readonly timeline: TimelineId;
}

/** A full segment: `000000010000000000000002`. */
export interface SegmentName extends Named {
  readonly kind: 'segment';
}

/** What a promotion left of the old timeline's last segment: `<segment>.partial`. */
export interface PartialName extends Named {
  readonly kind: 'partial';
}

/** What a base backup left: `<segment of its start>.<offset of its start in that segment>.backup`. */
export interface BackupName extends Named {
  readonly kind: 'backup';
  readonly offset: number;
}

/** Where a timeline came from: `00000002.history`. */
export interface HistoryName {
  readonly kind: 'history';
  readonly name: string;
  readonly timeline: TimelineId;
}

export type WalName = SegmentName | PartialName | BackupName | HistoryName;

const SEGMENT_LIKE = /^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})(\.partial|\.([0-9A-F]{8})\.backup)?$/;
const HISTORY = /^([0-9A-F]{8})\.history$/;
const LOG_BYTES = 2 ** 32;
const SMALLEST_SEGMENT = 2 ** 20;
const LARGEST_SEGMENT = 2 ** 30;

/**
 * Reads the name of a WAL file; undefined where it is none. Digits are upper-case, as the server writes them
 * (IsXLogFileName and its kin in xlog_internal.h). Whether the third part can be one depends on the segment size,
 * which a name does not tell: see `segmentStart`.
 */
export function parseWalName(text: string): WalName | undefined {
  const history = HISTORY.exec(text);
  if (history !== null) {
    const timeline = toTimelineId(fromHex(history[1]));
    return timeline === undefined ? undefined : { kind: 'history', name: text, timeline };
  }
  const match = SEGMENT_LIKE.exec(text);
  const timeline = toTimelineId(fromHex(match?.[1]));
  if (match === null || timeline === undefined) return undefined;
  const named = { name: text, timeline, log: fromHex(match[2]), seg: fromHex(match[3]) };
  if (match[4] === undefined) return { kind: 'segment', ...named };
  if (match[5] === undefined) return { kind: 'partial', ...named };
  return { kind: 'backup', ...named, offset: fromHex(match[5]) };
}

/** Takes a number of bytes for a segment size; undefined where no server can have it. */
export function toSegmentSize(bytes: number): SegmentSize | undefined {
  return isSegmentSize(bytes) ? bytes : undefined;
}

/** How many segments 4 GiB of WAL have: what the third part of a name stays below. */
export function segmentsPerLog(size: SegmentSize): number {
  return LOG_BYTES / size;
}

/** The first byte of a segment; undefined where its third part is too high for segments of this size. */
export function segmentStart(position: SegmentPosition, size: SegmentSize): Lsn | undefined {
  if (position.seg >= segmentsPerLog(size)) return undefined;
  return toLsn(BigInt(position.log) * BigInt(LOG_BYTES) + BigInt(position.seg) * BigInt(size));
}

/** The segment that contains the byte at `lsn`. For the end of something, exclusive, ask for the byte before it. */
export function segmentNameAt(timeline: TimelineId, lsn: Lsn, size: SegmentSize): SegmentName {
  const log = Number(lsn / BigInt(LOG_BYTES));
  const seg = Math.floor(Number(lsn % BigInt(LOG_BYTES)) / size);
  return { kind: 'segment', name: `${formatTimeline(timeline)}${hex8(log)}${hex8(seg)}`, timeline, log, seg };
}

/** Takes a number for a timeline; undefined where there is no such timeline, such as 0. */
export function toTimelineId(value: number): TimelineId | undefined {
  return isTimelineId(value) ? value : undefined;
}

/** The timeline as names hold it: `%08X`. */
export function formatTimeline(timeline: TimelineId): string {
  return hex8(timeline);
}

function isTimelineId(value: number): value is TimelineId {
  return Number.isInteger(value) && value > 0 && value < 2 ** 32;
}

function isSegmentSize(bytes: number): bytes is SegmentSize {
  return bytes >= SMALLEST_SEGMENT && bytes <= LARGEST_SEGMENT && Number.isInteger(Math.log2(bytes));
}

function hex8(value: number): string {
  return value.toString(16).toUpperCase().padStart(8, '0');
}

/** Digits that a pattern has matched; what did not match is no number. */
function fromHex(digits: string | undefined): number {
  return digits === undefined ? NaN : Number.parseInt(digits, 16);
}
