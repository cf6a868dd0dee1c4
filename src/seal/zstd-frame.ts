import { invalid } from './invalid.ts';

/**
 * Follows a zstd frame from block to block (RFC 8878, section 3.1.1), without decompressing. Decoders differ in what
 * they take at the end of their input: cut frames, further frames. So this says where the frame ends.
 */

const MAGIC = 0xfd2fb528;
const MAGIC_AND_DESCRIPTOR_BYTES = 5;
const BLOCK_HEADER_BYTES = 3;
const CHECKSUM_BYTES = 4;
const BLOCK_MAX_BYTES = 128 * 1024;
/** What decoders take without being asked (ZSTD_WINDOWLOG_LIMIT_DEFAULT); it bounds their memory. */
const WINDOW_MAX_BYTES = 2 ** 27;
const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;

/** Passes the pieces on while they are one whole frame with a checksum, and nothing more. Errors: Failure `invalid`. */
export async function* oneFrame(source: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  const walk = walkFrame(size);
  // What the walk needs next: some bytes to look at, or a number of bytes to be passed over.
  let step = walk.next();
  let seen = Buffer.alloc(0);
  let passed = 0;
  for await (const piece of source) {
    let rest = piece;
    while (rest.length > 0) {
      if (step.done) throw invalid('bytes follow the zstd frame');
      if (step.value.look) {
        const part = rest.subarray(0, step.value.bytes - seen.length);
        seen = Buffer.concat([seen, part]);
        rest = rest.subarray(part.length);
        if (seen.length < step.value.bytes) break;
      } else {
        const part = rest.subarray(0, step.value.bytes - passed);
        passed += part.length;
        rest = rest.subarray(part.length);
        if (passed < step.value.bytes) break;
      }
      step = walk.next(seen);
      seen = Buffer.alloc(0);
      passed = 0;
    }
    yield piece;
  }
  if (!step.done) throw invalid('zstd frame is cut');
}

interface Need {
  readonly bytes: number;
  /** Whether the walk wants to see them. */
  readonly look: boolean;
}

function* walkFrame(size: number): Generator<Need, void, Buffer> {
  const lead = yield look(MAGIC_AND_DESCRIPTOR_BYTES);
  if (lead.readUInt32LE(0) !== MAGIC) throw invalid('payload holds no zstd frame');
  const descriptor = readDescriptor(lead.readUInt8(4));
  const header = yield look(descriptor.windowBytes + descriptor.sizeBytes);
  checkHeader(header, descriptor, size);
  for (let last = false; !last;) {
    const block = yield look(BLOCK_HEADER_BYTES);
    const word = block.readUIntLE(0, BLOCK_HEADER_BYTES);
    last = (word & 1) === 1;
    const type = (word >>> 1) & 3;
    const length = word >>> 3;
    if (type === RESERVED_BLOCK || length > BLOCK_MAX_BYTES) throw invalid('zstd frame has an impossible block');
    const bytes = type === RLE_BLOCK ? 1 : length;
    if (bytes > 0) yield { bytes, look: false };
  }
  yield { bytes: CHECKSUM_BYTES, look: false };
}

function look(bytes: number): Need {
  return { bytes, look: true };
}

interface Descriptor {
  /** Bytes of the window descriptor: 0 or 1. */
  readonly windowBytes: number;
  /** Bytes of the content size: 0, 1, 2, 4 or 8. */
  readonly sizeBytes: number;
}

function readDescriptor(byte: number): Descriptor {
  const singleSegment = (byte & 0x20) !== 0;
  if ((byte & 0x08) !== 0) throw invalid('zstd frame has its reserved bit set');
  if ((byte & 0x04) === 0) throw invalid('zstd frame has no content checksum');
  if ((byte & 0x03) !== 0) throw invalid('zstd frame needs a dictionary');
  const sizeFlag = byte >>> 6;
  const sizeBytes = sizeFlag === 0 ? (singleSegment ? 1 : 0) : 2 ** sizeFlag;
  return { windowBytes: singleSegment ? 0 : 1, sizeBytes };
}

function checkHeader(header: Buffer, { windowBytes, sizeBytes }: Descriptor, size: number): void {
  if (windowBytes > 0) {
    const byte = header.readUInt8(0);
    const base = 2 ** (10 + (byte >>> 3));
    const window = base + (base / 8) * (byte & 7);
    if (window > WINDOW_MAX_BYTES) throw invalid(`zstd frame needs a window of ${window} bytes`);
  }
  if (sizeBytes === 0) return;
  const announced = readContentSize(header.subarray(windowBytes));
  if (announced !== BigInt(size)) throw invalid(`zstd frame announces ${announced} bytes, the file has ${size}`);
  if (windowBytes === 0 && size > WINDOW_MAX_BYTES) throw invalid(`zstd frame needs a window of ${size} bytes`);
}

function readContentSize(field: Buffer): bigint {
  switch (field.length) {
    case 1:
      return BigInt(field.readUInt8(0));
    case 2:
      // The two-byte form starts where the one-byte form ends.
      return BigInt(field.readUInt16LE(0) + 256);
    case 4:
      return BigInt(field.readUInt32LE(0));
    default:
      return field.readBigUInt64LE(0);
  }
}
