import { invalid } from './invalid.ts';

/**
 * zstd's skippable frames (RFC 8878, section 3.1.2): decoders pass over them, so they can say what a file and an
 * object are without being in anybody's way. docs/FORMAT.md has the bytes.
 */

const MAGIC_BYTES = 4;
const LEAD_BYTES = 8;
/** Precedes what is known of the file. */
const FILE_MAGIC = 0x184d2a57;
/** Holds the label of an object that is not encrypted. */
const LABEL_MAGIC = 0x184d2a5a;
const TAG = Buffer.from('walseal file v1\n', 'latin1');
const SIZE_BYTES = 8;
const SHA256_BYTES = 32;

/** Bytes of the frame that leads every payload. */
export const FILE_FRAME_BYTES = LEAD_BYTES + TAG.length + SIZE_BYTES + SHA256_BYTES;

/** What must come out of the zstd frame. */
export interface FileFacts {
  /** Bytes. */
  readonly size: number;
  readonly sha256: Uint8Array;
}

export function encodeFileFrame({ size, sha256 }: FileFacts): Buffer {
  const length = Buffer.alloc(SIZE_BYTES);
  length.writeBigUInt64LE(BigInt(size));
  return skippable(FILE_MAGIC, Buffer.concat([TAG, length, sha256]));
}

/** Errors: Failure `invalid`, where the size is above `largest` too. */
export function parseFileFrame(frame: Uint8Array, largest: number): FileFacts {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.length);
  const lead = skippable(FILE_MAGIC, Buffer.alloc(FILE_FRAME_BYTES - LEAD_BYTES)).subarray(0, LEAD_BYTES);
  const start = Buffer.concat([lead, TAG]);
  if (bytes.length !== FILE_FRAME_BYTES || !bytes.subarray(0, start.length).equals(start)) {
    throw invalid('payload does not start with the size and digest of a file');
  }
  const size = bytes.readBigUInt64LE(start.length);
  if (size > BigInt(largest))
    throw invalid(`payload announces a file of ${size} bytes, its kind has at most ${largest}`);
  return { size: Number(size), sha256: Uint8Array.from(bytes.subarray(start.length + SIZE_BYTES)) };
}

export function encodeLabelFrame(label: Uint8Array): Buffer {
  return skippable(LABEL_MAGIC, label);
}

/** Whether an object that begins with these bytes has a label frame as its header. */
export function startsLabelFrame(bytes: Buffer): boolean {
  return bytes.length >= MAGIC_BYTES && bytes.readUInt32LE(0) === LABEL_MAGIC;
}

/** Bytes of the label frame that begins here; undefined while too little of it is there. */
export function labelFrameLength(bytes: Buffer): number | undefined {
  return bytes.length < LEAD_BYTES ? undefined : LEAD_BYTES + bytes.readUInt32LE(MAGIC_BYTES);
}

/** The label's bytes in a whole label frame. */
export function labelInFrame(frame: Buffer): Buffer {
  return frame.subarray(LEAD_BYTES);
}

function skippable(magic: number, content: Uint8Array): Buffer {
  const lead = Buffer.alloc(LEAD_BYTES);
  lead.writeUInt32LE(magic, 0);
  lead.writeUInt32LE(content.length, MAGIC_BYTES);
  return Buffer.concat([lead, content]);
}
