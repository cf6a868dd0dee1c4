import { WalFormatError } from '../wal/error.ts';
import { ByteReader } from './bytes.ts';

const MAGIC = 0x184d2204;
const LEAD_BYTES = 6;
const VERSION_MASK = 0xc0;
const VERSION = 0x40;
const BLOCK_CHECKSUMS = 0x10;
const CONTENT_SIZE = 0x08;
const DICTIONARY = 0x01;
/** The largest block of each size code (bits 4 to 6 of the block descriptor): 64 KB, 256 KB, 1 MB, 4 MB. */
const SMALLEST_SIZE_CODE = 4;
const LARGEST_SIZE_CODE = 7;
const STORED = 0x8000_0000;
/** How far back a match reaches: into the blocks before, where they are linked. */
const WINDOW = 64 * 1024;
const MIN_MATCH = 4;
const LONG = 15;

/**
 * What an LZ4 frame holds (lz4_Frame_format.md 1.6.x), a block at a time: what `pg_basebackup --compress=lz4` and the
 * program lz4 write. Its checksums are passed over: whoever reads a tar knows what its contents must be.
 * Errors: WalFormatError; those of `source` pass through.
 */
export async function* decompressLz4(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const bytes = new ByteReader(source);
  try {
    const { largest, blockChecksumBytes } = await readHeader(bytes);
    let window: Buffer = Buffer.alloc(0);
    for (;;) {
      const word = (await need(bytes, 4)).readUInt32LE(0);
      if (word === 0) return;
      const length = word % STORED;
      if (length > largest) throw new WalFormatError(`an LZ4 block of ${length} bytes is larger than its frame allows`);
      const block = await need(bytes, length);
      const room = Buffer.allocUnsafe(window.length + largest);
      window.copy(room);
      const end = word >= STORED ? store(block, room, window.length) : expand(block, room, window.length);
      yield room.subarray(window.length, end);
      window = room.subarray(Math.max(0, end - WINDOW), end);
      await need(bytes, blockChecksumBytes);
    }
  } finally {
    await bytes.close();
  }
}

async function readHeader(bytes: ByteReader): Promise<{ largest: number; blockChecksumBytes: number }> {
  const lead = await need(bytes, LEAD_BYTES);
  const flags = lead.readUInt8(4);
  const sizeCode = (lead.readUInt8(5) >>> 4) & 7;
  if (lead.readUInt32LE(0) !== MAGIC || (flags & VERSION_MASK) !== VERSION || sizeCode < SMALLEST_SIZE_CODE) {
    throw new WalFormatError('this is no LZ4 frame');
  }
  if ((flags & DICTIONARY) !== 0) throw new WalFormatError('an LZ4 frame needs a dictionary');
  // The size of the content, and a byte of checksum.
  await need(bytes, ((flags & CONTENT_SIZE) === 0 ? 0 : 8) + 1);
  return {
    largest: WINDOW * 4 ** (Math.min(sizeCode, LARGEST_SIZE_CODE) - SMALLEST_SIZE_CODE),
    blockChecksumBytes: (flags & BLOCK_CHECKSUMS) === 0 ? 0 : 4,
  };
}

function store(block: Buffer, room: Buffer, start: number): number {
  return start + block.copy(room, start);
}

/** Expands a block into `room` from `start` on; what lies before `start` is the window. Returns where the result ends. */
function expand(block: Buffer, room: Buffer, start: number): number {
  const input = new BlockInput(block);
  let end = start;
  for (;;) {
    const token = input.byte();
    const literals = input.bytes(input.length(token >>> 4));
    if (end + literals.length > room.length) throw corrupt();
    end += literals.copy(room, end);
    // The last sequence of a block has no match.
    if (input.isEmpty()) return end;
    const distance = input.byte() + input.byte() * 256;
    const match = input.length(token & LONG) + MIN_MATCH;
    if (distance === 0 || distance > end || end + match > room.length) throw corrupt();
    // A match may reach into what it writes itself.
    if (distance >= match) room.copyWithin(end, end - distance, end - distance + match);
    else for (let index = end; index < end + match; index += 1) room[index] = room[index - distance] ?? 0;
    end += match;
  }
}

class BlockInput {
  readonly #block: Buffer;
  #at = 0;

  constructor(block: Buffer) {
    this.#block = block;
  }

  isEmpty(): boolean {
    return this.#at === this.#block.length;
  }

  byte(): number {
    const byte = this.#block[this.#at];
    if (byte === undefined) throw corrupt();
    this.#at += 1;
    return byte;
  }

  bytes(count: number): Buffer {
    if (this.#at + count > this.#block.length) throw corrupt();
    this.#at += count;
    return this.#block.subarray(this.#at - count, this.#at);
  }

  /** Four bits, and as many bytes more as say 255. */
  length(nibble: number): number {
    let length = nibble;
    if (nibble < LONG) return length;
    for (;;) {
      const byte = this.byte();
      length += byte;
      if (byte < 255) return length;
    }
  }
}

async function need(bytes: ByteReader, count: number): Promise<Buffer> {
  const taken = await bytes.take(count);
  if (taken.length < count) throw new WalFormatError('an LZ4 frame is cut');
  return taken;
}

function corrupt(): WalFormatError {
  return new WalFormatError('an LZ4 block is corrupt');
}
