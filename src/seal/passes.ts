import { createHash } from 'node:crypto';

import { zstd } from '#zstd';

import { sealPayload, type Lock } from './payload.ts';
import { each } from './pieces.ts';
import type { FileFacts } from './skippable.ts';
import { changed, openSource, readOnce, readUnchanged } from './source.ts';

/** How a file becomes a payload: a small one is read once and kept, a large one is read for each use. */

interface Content {
  readonly path: string;
  /** Bytes. */
  readonly length: number;
  /** zstd's compression level. */
  readonly level: number;
}

/** A payload that was made once, and can be had as often as needed. */
export interface SealedPayload {
  readonly file: FileFacts;
  /** Bytes. */
  readonly length: number;
  readonly sha256: Uint8Array;
  /** The same bytes at each call, or an error before the last piece. */
  open(): AsyncIterable<Uint8Array>;
  /** Where all of it is in memory. */
  readonly kept?: readonly Uint8Array[];
}

/** Reads the file once and keeps its payload. Errors: as `openSource`. */
export async function sealOnce({ path, length, level }: Content, lock: Lock | undefined): Promise<SealedPayload> {
  const hash = createHash('sha256');
  const content = readOnce(path, length, (piece) => hash.update(piece));
  const frame: Uint8Array[] = [];
  for await (const piece of zstd.compress(content, { level, size: length })) frame.push(piece);
  const file = { size: length, sha256: hash.digest() };
  const kept: Uint8Array[] = [];
  const measured = await measure(sealPayload(file, each(frame), lock), kept);
  return { file, ...measured, open: () => each(kept), kept };
}

/**
 * Reads the file twice, for its digest and for its payload's, and again for each use, which must come out the same.
 * Errors: as `openSource`.
 */
export async function sealInPasses({ path, length, level }: Content, lock: Lock | undefined): Promise<SealedPayload> {
  const source = await openSource(path, length);
  const pack = (content: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> =>
    sealPayload(source, zstd.compress(content, { level, size: length }), lock);
  const measured = await measure(pack(readUnchanged(source, path)));
  return { file: source, ...measured, open: () => sameAgain(pack(source.read()), measured, path) };
}

type Measured = Pick<SealedPayload, 'length' | 'sha256'>;

async function measure(payload: AsyncIterable<Uint8Array>, kept?: Uint8Array[]): Promise<Measured> {
  const hash = createHash('sha256');
  let length = 0;
  for await (const piece of payload) {
    hash.update(piece);
    length += piece.length;
    kept?.push(piece);
  }
  return { length, sha256: hash.digest() };
}

/** The pieces, the last one only if all together are what was measured: no whole wrong object can come out. */
async function* sameAgain(
  pieces: AsyncIterable<Uint8Array>,
  { length, sha256 }: Measured,
  path: string,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let seen = 0;
  let held: Uint8Array | undefined;
  for await (const piece of pieces) {
    if (held !== undefined) yield held;
    hash.update(piece);
    seen += piece.length;
    held = piece;
    if (seen > length) throw changed(path);
  }
  if (seen !== length || !hash.digest().equals(sha256)) throw changed(path);
  if (held !== undefined) yield held;
}
