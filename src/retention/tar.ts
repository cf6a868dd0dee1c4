import { WalFormatError } from '../wal/error.ts';
import type { ByteReader } from './bytes.ts';

/** What a tar's entries say of themselves in their headers, as far as anybody here asks. */
export interface TarEntry {
  /** With the directories that it lies in; a directory's own name has no slash at its end. */
  readonly name: string;
  readonly kind: 'file' | 'directory' | 'other';
  /** Bytes of the content. */
  readonly size: number;
}

/** Bytes of a block: of a header, and what contents are filled up to. */
const BLOCK = 512;
/** Two empty blocks, after the last entry. */
const END_BLOCKS = 2;
const NAME_BYTES = 100;
const SIZE_AT = 124;
const SIZE_BYTES = 12;
const CHECKSUM_AT = 148;
const CHECKSUM_BYTES = 8;
const TYPE_AT = 156;
const MAGIC_AT = 257;
const PREFIX_AT = 345;
const PREFIX_BYTES = 155;

const TYPES: Readonly<Record<string, TarEntry['kind']>> = { '0': 'file', '\0': 'file', '5': 'directory' };

/**
 * Reads a tar as the server and pg_basebackup write it (tarCreateHeader in src/port/tar.c): ustar headers, sizes from
 * 8 GB on in base 256. Headers of other kinds (links, pax) are entries of the kind `other`.
 */
export class TarReader {
  readonly #bytes: ByteReader;
  /** Bytes until the next header. */
  #rest = 0;
  /** Bytes of the current entry's content that were not read. */
  #unread = 0;

  constructor(bytes: ByteReader) {
    this.#bytes = bytes;
  }

  /** The next entry; undefined after the last. Errors: WalFormatError where the tar is cut, or this is none. */
  async next(): Promise<TarEntry | undefined> {
    if (!(await this.#bytes.skip(this.#rest))) throw cut();
    const header = await this.#bytes.take(BLOCK);
    if (header.length < BLOCK) throw cut();
    // An empty block is no header: the end.
    if (header.every((byte) => byte === 0)) return undefined;
    const entry = readHeader(header);
    this.#unread = entry.size;
    this.#rest = padded(entry.size);
    return entry;
  }

  /** What is left of the current entry's content, up to `limit` bytes. Errors: WalFormatError where the tar is cut. */
  async content(limit: number): Promise<Buffer> {
    const wanted = Math.min(this.#unread, limit);
    const bytes = await this.#bytes.take(wanted);
    if (bytes.length < wanted) throw cut();
    this.#unread -= wanted;
    this.#rest -= wanted;
    return bytes;
  }
}

/** How many bytes an entry takes in a tar, with its header. `size`: bytes of its content. */
export function tarEntryBytes(size: number): number {
  return BLOCK + padded(size);
}

/** How many bytes a tar has after its last entry. */
export const TAR_END_BYTES = BLOCK * END_BLOCKS;

function padded(size: number): number {
  return Math.ceil(size / BLOCK) * BLOCK;
}

function readHeader(header: Buffer): TarEntry {
  if (header.toString('latin1', MAGIC_AT, MAGIC_AT + 5) !== 'ustar' || !hasItsChecksum(header)) {
    throw new WalFormatError('this is no tar, or a damaged one: a header is none');
  }
  const prefix = text(header, PREFIX_AT, PREFIX_BYTES);
  const name = text(header, 0, NAME_BYTES).replace(/\/+$/, '');
  const type = header.toString('latin1', TYPE_AT, TYPE_AT + 1);
  const kind = TYPES[type] ?? 'other';
  // A directory or a link has no content, whatever the size says (GNU tar does so as well).
  const size = kind === 'directory' || /[1-6]/.test(type) ? 0 : readSize(header);
  return { name: prefix === '' ? name : `${prefix}/${name}`, kind, size };
}

/** The sum of all bytes, those of the checksum itself counted as spaces. */
function hasItsChecksum(header: Buffer): boolean {
  let sum = CHECKSUM_BYTES * 0x20;
  for (const [index, byte] of header.entries()) {
    if (index < CHECKSUM_AT || index >= CHECKSUM_AT + CHECKSUM_BYTES) sum += byte;
  }
  return Number.parseInt(text(header, CHECKSUM_AT, CHECKSUM_BYTES), 8) === sum;
}

function readSize(header: Buffer): number {
  const field = header.subarray(SIZE_AT, SIZE_AT + SIZE_BYTES);
  const size =
    field[0] === 0x80
      ? Number(field.readBigUInt64BE(SIZE_BYTES - 8))
      : Number.parseInt(text(header, SIZE_AT, SIZE_BYTES), 8);
  if (Number.isSafeInteger(size) && size >= 0) return size;
  throw new WalFormatError('a tar has an entry whose size is none');
}

function text(header: Buffer, at: number, bytes: number): string {
  const end = header.indexOf(0, at);
  return header.toString('utf8', at, end === -1 || end > at + bytes ? at + bytes : end);
}

function cut(): WalFormatError {
  return new WalFormatError('the tar is cut: it ends before its end');
}
