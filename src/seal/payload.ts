import { createHash } from 'node:crypto';

import { zstd } from '#zstd';

import type { WalName } from '../wal/name.ts';
import { parseWalName } from '../wal/name.ts';
import type { Aead } from './chacha.ts';
import { invalid } from './invalid.ts';
import type { Label } from './label.ts';
import { following, Pieces } from './pieces.ts';
import { encodeFileFrame, FILE_FRAME_BYTES, parseFileFrame, type FileFacts } from './skippable.ts';
import { decryptChunks, encryptChunks, PAYLOAD_NONCE_BYTES, payloadKey } from './stream.ts';
import { oneFrame } from './zstd-frame.ts';

/** What follows the head: the file's size and digest, then the file in one zstd frame; encrypted or not. */

/** A segment has at most 1 GiB; a little more lets a file that is wrong be set aside. */
const LARGEST_SEGMENT_FILE_BYTES = 2 ** 30 + 2 ** 20;
/** History files are lists of a few lines. */
const LARGEST_HISTORY_FILE_BYTES = 2 ** 24;

/** What a payload is encrypted under; without it, it is not encrypted. */
export interface Lock {
  readonly fileKey: Uint8Array;
  /** 16 bytes. */
  readonly payloadNonce: Uint8Array;
}

/** The most bytes that a file of this kind can have: what an object announces beyond it is a bomb. */
export function largestFile(name: WalName): number {
  const small = name.kind === 'history' || name.kind === 'backup';
  return small ? LARGEST_HISTORY_FILE_BYTES : LARGEST_SEGMENT_FILE_BYTES;
}

/** The payload of a file whose content is in `frame`, one of zstd; always the same bytes for the same arguments. */
export async function* sealPayload(
  file: FileFacts,
  frame: AsyncIterable<Uint8Array>,
  lock: Lock | undefined,
): AsyncGenerator<Uint8Array> {
  const plaintext = following(encodeFileFrame(file), frame);
  if (lock === undefined) {
    yield* plaintext;
    return;
  }
  yield lock.payloadNonce;
  yield* encryptChunks(await payloadKey(lock.fileKey, lock.payloadNonce), plaintext);
}

/**
 * Opens a payload and writes the file, bytes before all of them are proven. When it resolves, all were: length and
 * digest of the payload, each chunk, the one zstd frame, size and digest of the file.
 * Errors: Failure `invalid`; those of `payload` and `write` pass through.
 */
export async function openPayload(
  payload: AsyncIterable<Uint8Array>,
  label: Label,
  fileKey: Uint8Array | undefined,
  write: (chunk: Uint8Array) => Promise<void> | void,
): Promise<FileFacts> {
  const whole = new Pieces(labelled(payload, label));
  const plaintext = new Pieces(fileKey === undefined ? whole.rest() : await decrypted(whole, fileKey));
  const facts = takeFileFacts(plaintext, label);
  const hash = createHash('sha256');
  let size = 0;
  let writing = Promise.resolve();
  for await (const piece of zstd.decompress(frameBehind(facts, plaintext))) {
    const announced = (await facts).size;
    size += piece.length;
    if (size > announced) throw invalid(`zstd frame holds more than the ${announced} bytes that were announced`);
    await writing;
    writing = Promise.resolve(write(piece));
    // It is waited for when the next piece is there.
    writing.catch(() => undefined);
    // It is hashed while another thread writes it, and a third one decompresses what follows.
    hash.update(piece);
  }
  await writing;
  const file = await facts;
  if (size < file.size) throw invalid(`zstd frame holds ${size} bytes, announced were ${file.size}`);
  if (!hash.digest().equals(file.sha256))
    throw invalid('the file that comes out has another SHA-256 than the one that was sealed');
  return file;
}

/** The frame alone, waiting for what precedes it: so a decoder can be made meanwhile. */
async function* frameBehind(facts: Promise<FileFacts>, plaintext: Pieces): AsyncGenerator<Uint8Array> {
  yield* oneFrame(plaintext.rest(), (await facts).size);
}

/** The bytes of the payload, as long as they are those of the label; their end is reached only if all were. */
async function* labelled(payload: AsyncIterable<Uint8Array>, label: Label): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let length = 0;
  for await (const piece of payload) {
    length += piece.length;
    if (length > label.payloadLength) throw invalid(`bytes follow the ${label.payloadLength} of the payload`);
    yield piece;
    // It is hashed while other threads decrypt it.
    hash.update(piece);
  }
  if (length < label.payloadLength)
    throw invalid(`payload has ${length} bytes, its label announces ${label.payloadLength}`);
  if (!hash.digest().equals(label.payloadSha256)) throw invalid('payload has another SHA-256 than its label announces');
}

async function decrypted(payload: Pieces, fileKey: Uint8Array): Promise<AsyncIterable<Uint8Array>> {
  const nonce = await payload.takeHead(PAYLOAD_NONCE_BYTES, () => PAYLOAD_NONCE_BYTES);
  if (nonce === undefined) throw invalid('payload ends in its nonce');
  const key: Aead = await payloadKey(fileKey, nonce);
  return decryptChunks(key, payload.rest());
}

async function takeFileFacts(plaintext: Pieces, label: Label): Promise<FileFacts> {
  const name = parseWalName(label.name);
  if (name === undefined) throw new Error(`a parsed label names "${label.name}"`);
  const frame = await plaintext.takeHead(FILE_FRAME_BYTES, () => FILE_FRAME_BYTES);
  if (frame === undefined) throw invalid('payload ends before the size and digest of its file');
  return parseFileFrame(frame, largestFile(name));
}
