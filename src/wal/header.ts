import { toSystemId, type SystemId } from './control.ts';
import { formatLsn, toLsn, type Lsn } from './lsn.ts';
import {
  segmentsPerLog,
  segmentStart,
  toSegmentSize,
  type PartialName,
  type SegmentName,
  type SegmentSize,
} from './name.ts';

/** xlp_magic of each major version (XLOG_PAGE_MAGIC in xlog_internal.h). */
export const PAGE_MAGIC: ReadonlyMap<number, number> = new Map([
  [0xd106, 13],
  [0xd10d, 14],
  [0xd110, 15],
  [0xd113, 16],
  [0xd116, 17],
  [0xd118, 18],
]);

/** The header of a segment's first page (XLogLongPageHeaderData in xlog_internal.h), as it lies there, unchecked. */
export interface LongPageHeader {
  readonly magic: number;
  readonly info: number;
  readonly timeline: number;
  readonly pageAddress: Lsn;
  /** Bytes that are left of a record that began in the segment before. */
  readonly remLen: number;
  /** Undefined where the page holds 0. */
  readonly systemId: SystemId | undefined;
  readonly segmentSize: number;
  readonly blockSize: number;
}

const LONG_HEADER_BYTES = 40;
const LONG_HEADER_FLAG = 0x0002;

/** Reads the header of a segment's first page; undefined where there are too few bytes, or it says to be another kind of page. */
export function readLongPageHeader(page: Uint8Array): LongPageHeader | undefined {
  if (page.length < LONG_HEADER_BYTES) return undefined;
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  const info = view.getUint16(2, true);
  if ((info & LONG_HEADER_FLAG) === 0) return undefined;
  return {
    magic: view.getUint16(0, true),
    info,
    timeline: view.getUint32(4, true),
    pageAddress: toLsn(view.getBigUint64(8, true)),
    remLen: view.getUint32(16, true),
    systemId: toSystemId(view.getBigUint64(24, true)),
    segmentSize: view.getUint32(32, true),
    blockSize: view.getUint32(36, true),
  };
}

/** What a look at a segment's first page found. */
export interface HeaderFindings {
  /** Why the file is not what its name claims: every fact that is wrong, with both values. */
  readonly problem?: string;
  /** What is unusual, but no reason to refuse the file. */
  readonly warning?: string;
  /** As the header says it, where that is a size that a segment can have. */
  readonly segmentSize?: SegmentSize;
}

/**
 * Whether a file can be the segment that its name claims: page address, size, timeline (lower than the name's only
 * in the segment where a timeline begins, so never higher) and cluster. Looks at nothing behind the first header.
 * @param fileSize bytes
 */
export function checkSegmentHeader(
  name: SegmentName | PartialName,
  fileSize: number,
  page: Uint8Array,
  systemId: SystemId,
): HeaderFindings {
  const header = readLongPageHeader(page);
  if (header === undefined) return { problem: describeMissingHeader(page) };
  const segmentSize = toSegmentSize(header.segmentSize);
  const problems = [
    ...sizeProblems(header, segmentSize, fileSize),
    ...addressProblems(header, segmentSize, name),
    ...originProblems(header, name, systemId),
  ];
  return {
    ...(problems.length > 0 && { problem: problems.join('; ') }),
    ...(problems.length === 0 && !PAGE_MAGIC.has(header.magic) && { warning: describeMagic(header.magic) }),
    ...(segmentSize !== undefined && { segmentSize }),
  };
}

function describeMissingHeader(page: Uint8Array): string {
  if (page.length < LONG_HEADER_BYTES) {
    return `the first page has ${page.length} bytes, its header alone has ${LONG_HEADER_BYTES}`;
  }
  const start = page.subarray(0, LONG_HEADER_BYTES);
  if (start.every((byte) => byte === 0)) return 'the first page is filled with zeros, not with WAL';
  return `the first page has no long page header: it starts with ${Buffer.from(start.subarray(0, 4)).toString('hex')}`;
}

function* sizeProblems(header: LongPageHeader, size: SegmentSize | undefined, fileSize: number): Iterable<string> {
  if (size === undefined) yield `segment size is ${header.segmentSize}, not a power of two from 1 MB to 1 GB`;
  if (header.segmentSize !== fileSize) {
    yield `segment size is ${header.segmentSize} bytes, the file has ${fileSize}`;
  }
}

function* addressProblems(
  header: LongPageHeader,
  size: SegmentSize | undefined,
  name: SegmentName | PartialName,
): Iterable<string> {
  if (size === undefined) return;
  const start = segmentStart(name, size);
  if (start === undefined) {
    yield (
      `the name ends in ${name.seg.toString(16).toUpperCase().padStart(8, '0')}, ` +
      `with segments of ${size} bytes it stays below ${segmentsPerLog(size).toString(16).toUpperCase()}`
    );
  } else if (header.pageAddress !== start) {
    yield `page address is ${formatLsn(header.pageAddress)}, the name says ${formatLsn(start)}`;
  }
}

function* originProblems(
  header: LongPageHeader,
  name: SegmentName | PartialName,
  systemId: SystemId,
): Iterable<string> {
  if (header.timeline === 0 || header.timeline > name.timeline) {
    yield `timeline is ${header.timeline}, the name says ${name.timeline}`;
  }
  if (header.systemId !== systemId) {
    yield `system identifier is ${header.systemId ?? '0'}, the cluster's is ${systemId}`;
  }
}

function describeMagic(magic: number): string {
  const known = [...PAGE_MAGIC.values()];
  return (
    `page magic is ${magic.toString(16).toUpperCase().padStart(4, '0')}, ` +
    `unknown to this program, which knows PostgreSQL ${Math.min(...known)} to ${Math.max(...known)}`
  );
}
