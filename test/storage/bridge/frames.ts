import type { Method } from './protocol.ts';
import type { WireError } from './values.ts';

/** What goes over the connection: JSON, and bytes behind it. */
export type Frame =
  | { readonly kind: 'ask'; readonly number: number; readonly method: Method; readonly value: unknown }
  | { readonly kind: 'answer'; readonly number: number; readonly value: unknown; readonly bytes: Buffer }
  | { readonly kind: 'error'; readonly number: number; readonly error: WireError };

/** The lengths of the JSON and of the bytes, as two unsigned integers of 4 bytes. */
const PREFIX_BYTES = 8;

export function formatFrame(frame: Frame): Buffer {
  const bytes = frame.kind === 'answer' ? frame.bytes : Buffer.alloc(0);
  const json = Buffer.from(JSON.stringify(frame.kind === 'answer' ? { ...frame, bytes: undefined } : frame));
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(json.length, 0);
  prefix.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([prefix, json, bytes]);
}

/** Puts frames together again. */
export class FrameReader {
  #chunks: Buffer[] = [];
  #length = 0;
  #wanted = PREFIX_BYTES;

  push(chunk: Buffer): Frame[] {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    if (this.#length < this.#wanted) return [];
    const frames: Frame[] = [];
    let rest = Buffer.concat(this.#chunks);
    for (this.#wanted = frameBytes(rest); rest.length >= this.#wanted; this.#wanted = frameBytes(rest)) {
      frames.push(parseFrame(rest));
      rest = rest.subarray(this.#wanted);
    }
    this.#chunks = [rest];
    this.#length = rest.length;
    return frames;
  }
}

function frameBytes(start: Buffer): number {
  if (start.length < PREFIX_BYTES) return PREFIX_BYTES;
  return PREFIX_BYTES + start.readUInt32BE(0) + start.readUInt32BE(4);
}

function parseFrame(bytes: Buffer): Frame {
  const jsonEnd = PREFIX_BYTES + bytes.readUInt32BE(0);
  const frame = JSON.parse(bytes.toString('utf8', PREFIX_BYTES, jsonEnd)) as Frame;
  return frame.kind === 'answer' ? { ...frame, bytes: bytes.subarray(jsonEnd, frameBytes(bytes)) } : frame;
}
