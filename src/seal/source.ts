import { constants } from 'node:fs';
import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';

import { codeOf, Failure } from '../exit.ts';
import { invalid } from './invalid.ts';
import type { FileFacts } from './skippable.ts';

/** A file that is too large to be kept: it is read as often as it is needed. */
export interface Source extends FileFacts {
  read(): AsyncIterable<Uint8Array>;
}

const PIECE_BYTES = 1024 * 1024;

/**
 * Reads the file once, and hands each piece to `see` as well: while the piece is used elsewhere, where the next one is
 * asked for meanwhile. A piece stays as it is until the second one after it is asked for. Errors: as `openSource`.
 */
export async function* readOnce(
  path: string,
  length: number,
  see: (piece: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  for await (const piece of readFile(path, length)) {
    yield piece;
    see(piece);
  }
}

/**
 * Reads the file through once. Errors: Failure `invalid` where it has not exactly `length` bytes, `unwritable` where
 * it can't be read.
 */
export async function openSource(path: string, length: number): Promise<Source> {
  const hash = createHash('sha256');
  for await (const piece of readFile(path, length)) hash.update(piece);
  return { size: length, sha256: hash.digest(), read: () => readFile(path, length) };
}

/** The content again, but its end only if it is still the same. Errors: Failure `invalid` where it is not. */
export async function* readUnchanged(source: Source, path: string): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  for await (const piece of source.read()) {
    yield piece;
    hash.update(piece);
  }
  if (!hash.digest().equals(source.sha256)) throw changed(path);
}

/** Somebody writes to a file that the server has finished. */
export function changed(path: string): Failure {
  return invalid(`${path} changed while it was sealed`);
}

/**
 * Full pieces but for the last one, so that the same file is always cut in the same places. They lie in two buffers by
 * turns.
 */
async function* readFile(path: string, length: number): AsyncGenerator<Uint8Array> {
  const file = await reading(path, () => open(path, constants.O_RDONLY | constants.O_NONBLOCK));
  try {
    const { size } = await reading(path, () => file.stat());
    if (size !== length) throw invalid(`${path} has ${size} bytes, expected were ${length}`);
    const pieceBytes = Math.min(PIECE_BYTES, length + 1);
    let [buffer, other] = [Buffer.allocUnsafeSlow(pieceBytes), Buffer.allocUnsafeSlow(pieceBytes)];
    for (let at = 0; ; [buffer, other] = [other, buffer]) {
      const filled = await reading(path, () => fill(file, buffer));
      at += filled;
      if (at > length || (filled < buffer.length && at < length)) throw changed(path);
      if (filled > 0) yield buffer.subarray(0, filled);
      if (filled < buffer.length) return;
    }
  } finally {
    await file.close();
  }
}

/** Reads until the buffer is full or the file ends. */
async function fill(file: FileHandle, buffer: Buffer): Promise<number> {
  let filled = 0;
  while (filled < buffer.length) {
    const { bytesRead } = await file.read(buffer, filled, buffer.length - filled);
    if (bytesRead === 0) break;
    filled += bytesRead;
  }
  return filled;
}

async function reading<T>(path: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    const code = codeOf(error) ?? String(error);
    throw new Failure('unwritable', `cannot read ${path}: ${code}`, { cause: error });
  }
}
