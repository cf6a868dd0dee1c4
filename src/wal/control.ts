import { crc32c } from './crc32c.ts';
import { WalFormatError } from './error.ts';
import { toSegmentSize, type SegmentSize } from './name.ts';

declare const systemIdBrand: unique symbol;

/** The identifier of a cluster, from its initdb on: an unsigned number of 64 bits, in decimal, not 0. */
export type SystemId = string & { readonly [systemIdBrand]: true };

/** What global/pg_control tells. */
export interface ControlFile {
  readonly systemId: SystemId;
  /** mock_authentication_nonce: 32 random bytes, the same in every physical copy of the cluster. */
  readonly nonce: Uint8Array;
  /** xlog_seg_size; undefined where the file holds no size that a segment can have. */
  readonly segmentSize?: SegmentSize;
  /** pg_control_version, such as 1300 for the servers 13 to 16. */
  readonly version: number;
  /** What is unusual, but no reason to refuse the file. */
  readonly warning?: string;
}

/** Where a version of ControlFileData (pg_control.h) keeps what we read, in bytes. */
interface Layout {
  readonly nonceAt: number;
  readonly crcAt: number;
}

const NONCE_BYTES = 32;
const VERSION_AT = 8;
/** The same in all layouts: what was added came behind it. */
const SEGMENT_SIZE_AT = 228;
const OLDEST_VERSION = 1300;
const NEWEST_VERSION = 1800;

const OLD_LAYOUT: Layout = { nonceAt: 256, crcAt: 288 };
/** The server 18 added a byte, default_char_signedness, before the nonce. */
const NEWEST_LAYOUT: Layout = { nonceAt: 257, crcAt: 292 };

const LAYOUTS: ReadonlyMap<number, Layout> = new Map([
  [OLDEST_VERSION, OLD_LAYOUT],
  [1700, OLD_LAYOUT],
  [NEWEST_VERSION, NEWEST_LAYOUT],
]);

const SYSTEM_ID = /^[1-9][0-9]{0,19}$/;
const LARGEST_SYSTEM_ID = 0xffff_ffff_ffff_ffffn;

/** Reads a system identifier as pg_controldata prints it; undefined where it is none. */
export function parseSystemId(text: string): SystemId | undefined {
  return isSystemId(text) ? text : undefined;
}

/** Takes the number that headers and pg_control hold for a system identifier; undefined for 0. */
export function toSystemId(value: bigint): SystemId | undefined {
  return parseSystemId(value.toString());
}

/**
 * Reads pg_control. The version gives the layout and the CRC proves it, so a version that is not known yet is taken
 * where the newest known layout fits. Errors: WalFormatError; the file is written in place, so a wrong CRC may be a
 * torn read, and reading again may help.
 */
export function parseControlFile(bytes: Uint8Array): ControlFile {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < NEWEST_LAYOUT.crcAt + 4) throw new WalFormatError(`pg_control has only ${bytes.length} bytes`);
  const version = view.getUint32(VERSION_AT, true);
  const layout = layoutOf(version);
  const stored = view.getUint32(layout.crcAt, true);
  const computed = crc32c(bytes.subarray(0, layout.crcAt));
  if (stored !== computed) {
    const facts = `pg_control (version ${version}) has the checksum ${hex(stored)}, its content gives ${hex(computed)}`;
    throw new WalFormatError(LAYOUTS.has(version) ? facts : `${facts}: no known layout fits this version`);
  }
  const systemId = toSystemId(view.getBigUint64(0, true));
  if (systemId === undefined) throw new WalFormatError('pg_control holds the system identifier 0');
  const nonce = Uint8Array.from(bytes.subarray(layout.nonceAt, layout.nonceAt + NONCE_BYTES));
  const warning = warningsOf(version, nonce).join('; ');
  const segmentSize = toSegmentSize(view.getUint32(SEGMENT_SIZE_AT, true));
  return { systemId, nonce, version, ...(segmentSize && { segmentSize }), ...(warning !== '' && { warning }) };
}

function layoutOf(version: number): Layout {
  // As the server tells a foreign byte order (ReadControlFile in xlog.c).
  if (version % 65536 === 0 && version !== 0) {
    throw new WalFormatError('pg_control was written on a host of another byte order');
  }
  if (version < OLDEST_VERSION) {
    throw new WalFormatError(`pg_control has the version ${version}, older than ${OLDEST_VERSION} (PostgreSQL 13)`);
  }
  return LAYOUTS.get(version) ?? NEWEST_LAYOUT;
}

function warningsOf(version: number, nonce: Uint8Array): string[] {
  const warnings: string[] = [];
  if (!LAYOUTS.has(version)) {
    warnings.push(`pg_control has the unknown version ${version}; its checksum fits the layout of ${NEWEST_VERSION}`);
  }
  if (nonce.every((byte) => byte === 0)) {
    warnings.push(
      'pg_control holds no mock authentication nonce (pg_resetwal had to guess): ' +
        'whoever reads the archive can confirm a guess at the content of a file',
    );
  }
  return warnings;
}

function isSystemId(text: string): text is SystemId {
  return SYSTEM_ID.test(text) && BigInt(text) <= LARGEST_SYSTEM_ID;
}

function hex(crc: number): string {
  return crc.toString(16).toUpperCase().padStart(8, '0');
}
