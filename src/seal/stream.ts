import { hkdfSync } from 'node:crypto';

import { chacha } from '#chacha';

import { TAG_BYTES, type Aead } from './chacha.ts';
import { invalid } from './invalid.ts';

/**
 * STREAM, the payload of an age file: chunks of 64 KiB, each under a nonce that counts them and marks the last, so
 * that none can be cut off, swapped or added. C2SP age specification, "Payload".
 */

const CHUNK_BYTES = 64 * 1024;
const NONCE_BYTES = 12;
/** Enough that all threads have work, few enough that what follows begins soon: 512 KiB. */
const CHUNKS_AT_ONCE = 8;
/** Nothing else can be done before the first ones are opened. */
const FIRST_CHUNKS = 2;

/** Bytes of the random nonce that leads a payload. */
export const PAYLOAD_NONCE_BYTES = 16;

/** The key of one payload. */
export async function payloadKey(fileKey: Uint8Array, payloadNonce: Uint8Array): Promise<Aead> {
  return chacha.importKey(new Uint8Array(hkdfSync('sha256', fileKey, payloadNonce, 'payload', 32)));
}

/** The chunks of a plaintext that is not empty. */
export async function* encryptChunks(key: Aead, plaintext: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let index = 0;
  let sealing: Promise<Uint8Array[]> | undefined;
  for await (const { bytes, last } of batches(plaintext, [CHUNK_BYTES * CHUNKS_AT_ONCE])) {
    const chunks = split(bytes, CHUNK_BYTES);
    const next = encryptBatch(key, chunks, index, last);
    next.catch(() => undefined);
    index += chunks.length;
    // While this batch is encrypted on other threads, the one before it is consumed.
    if (sealing !== undefined) yield* await sealing;
    sealing = next;
  }
  if (sealing !== undefined) yield* await sealing;
}

function encryptBatch(key: Aead, chunks: readonly Uint8Array[], first: number, last: boolean): Promise<Uint8Array[]> {
  return Promise.all(
    chunks.map((chunk, i) => key.encrypt(chunkNonce(first + i, last && i === chunks.length - 1), chunk)),
  );
}

/** The plaintext, each piece authenticated, and as long as a batch: few pieces
 * are fast to decompress. The end is reached only after the last chunk. Errors: Failure `invalid`. */
export async function* decryptChunks(key: Aead, ciphertext: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let index = 0;
  let opening: Promise<Uint8Array> | undefined;
  const sizes = [FIRST_CHUNKS, CHUNKS_AT_ONCE].map((chunks) => chunks * (CHUNK_BYTES + TAG_BYTES));
  for await (const { bytes, last } of batches(ciphertext, sizes)) {
    const chunks = split(bytes, CHUNK_BYTES + TAG_BYTES);
    const next = decryptBatch(key, chunks, index, last);
    // It is waited for only after the batch before it, which may fail first.
    next.catch(() => undefined);
    index += chunks.length;
    // While this batch is decrypted on other threads, the one before it is consumed, and the next one read.
    if (opening !== undefined) yield await opening;
    opening = next;
  }
  if (opening !== undefined) yield await opening;
}

async function decryptBatch(
  key: Aead,
  chunks: readonly Uint8Array[],
  first: number,
  last: boolean,
): Promise<Uint8Array> {
  const opened = await Promise.all(
    chunks.map((chunk, i) => key.decrypt(chunkNonce(first + i, last && i === chunks.length - 1), chunk)),
  );
  return Buffer.concat(opened.map((plaintext, i) => authentic(plaintext, first + i)));
}

/** The plaintext of a chunk. Errors: Failure `invalid`. */
function authentic(plaintext: Uint8Array | undefined, index: number): Uint8Array {
  if (plaintext === undefined)
    throw invalid(`chunk ${index} of the payload is not authentic, or the payload is cut there`);
  if (plaintext.length === 0 && index > 0) throw invalid('payload ends with an empty chunk');
  return plaintext;
}

/** Big-endian counter in 11 bytes, then 1 for the last chunk. */
function chunkNonce(index: number, last: boolean): Uint8Array {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeUIntBE(index, NONCE_BYTES - 1 - 6, 6);
  nonce.writeUInt8(last ? 1 : 0, NONCE_BYTES - 1);
  return nonce;
}

/** At least one part: of nothing, an empty one. */
function split(bytes: Uint8Array, size: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < bytes.length; at += size) parts.push(bytes.subarray(at, at + size));
  return parts;
}

/**
 * The bytes again in batches of exactly these sizes, then more of the last size; the last batch is shorter or not. Which
 * one is last is known because a batch is held until a byte follows. A batch is valid until the next one is asked for.
 */
async function* batches(
  source: AsyncIterable<Uint8Array>,
  sizes: readonly number[],
): AsyncGenerator<{ bytes: Uint8Array; last: boolean }> {
  // Copied only when a second piece comes: a small payload is one piece.
  let held: Uint8Array = new Uint8Array(0);
  let gathered: Buffer | undefined;
  const largest = Math.max(...sizes);
  let [size = largest, ...later] = sizes;
  for await (const piece of source) {
    for (let rest = piece; rest.length > 0;) {
      if (held.length === size) {
        yield { bytes: held, last: false };
        held = held.subarray(0, 0);
        [size = largest, ...later] = later;
      }
      const part = rest.subarray(0, size - held.length);
      rest = rest.subarray(part.length);
      if (held.length === 0) {
        held = part;
        continue;
      }
      gathered ??= Buffer.allocUnsafeSlow(largest);
      if (held.buffer !== gathered.buffer) gathered.set(held);
      gathered.set(part, held.length);
      held = gathered.subarray(0, held.length + part.length);
    }
  }
  yield { bytes: held, last: true };
}
