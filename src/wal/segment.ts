import { toLsn, type Lsn } from './lsn.ts';

/** XLOG_BLCKSZ of every server that packagers build. */
export const WAL_PAGE_BYTES = 8192;
const PAGE_ADDRESS_AT = 8;
/** XLogRecord (xlogrecord.h): total length, transaction, previous record, info, resource manager, checksum. */
const RECORD_BYTES = 24;
const RECORD_ALIGNMENT = 8;
const INFO_AT = 16;
const RESOURCE_MANAGER_AT = 17;
const CHECKSUM_AT = 20;
const RM_XLOG = 0;
const XLOG_SWITCH = 0x40;

/**
 * Tells a segment that the server has finished from one that only has the right name: the segment that is still
 * being written, whose end is empty or what was there before, when the file had another name. Takes the pages in order.
 */
export class SegmentScan {
  #next: Lsn;
  #magic: number | undefined;
  #isStale = false;
  #emptyPages = 0;
  #lastWritten: Uint8Array = new Uint8Array(0);

  /** `start`: the segment's first byte. */
  constructor(start: Lsn) {
    this.#next = start;
  }

  /** The next page; it may be overwritten afterwards. */
  page(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#magic ??= view.getUint16(0, true);
    if (bytes.every((byte) => byte === 0)) {
      this.#emptyPages += 1;
    } else {
      const isPageOfWal = view.getUint16(0, true) === this.#magic;
      const isItsOwn = view.getBigUint64(PAGE_ADDRESS_AT, true) === this.#next;
      if (this.#emptyPages > 0 || (isPageOfWal && !isItsOwn)) this.#isStale = true;
      this.#lastWritten = Uint8Array.from(bytes);
    }
    this.#next = toLsn(this.#next + BigInt(WAL_PAGE_BYTES));
  }

  /**
   * After the last page: `finished` where every page is written, or the rest was left empty by the record that
   * switches to the next segment (pg_switch_wal, archive_timeout, the end of a backup); `stale` where pages of another
   * segment follow; `open-ended` where the rest is empty for no visible reason.
   */
  verdict(): 'finished' | 'stale' | 'open-ended' {
    if (this.#isStale) return 'stale';
    const end = this.#lastWritten.findLastIndex((byte) => byte !== 0) + 1;
    return this.#emptyPages === 0 || endsWithSwitch(this.#lastWritten, end) ? 'finished' : 'open-ended';
  }
}

/** Whether the last bytes before `end` are a record that switches segments. One that is cut by a page is not seen. */
function endsWithSwitch(page: Uint8Array, end: number): boolean {
  // The checksum comes last, and may itself end with zeros.
  const start = Math.floor((end - 1 - CHECKSUM_AT) / RECORD_ALIGNMENT) * RECORD_ALIGNMENT;
  if (start < 0 || end > start + RECORD_BYTES) return false;
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  return (
    view.getUint32(start, true) === RECORD_BYTES &&
    view.getUint8(start + RESOURCE_MANAGER_AT) === RM_XLOG &&
    view.getUint8(start + INFO_AT) === XLOG_SWITCH
  );
}
