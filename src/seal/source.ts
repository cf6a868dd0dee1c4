import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';

import { Failure } from '../exit.ts';
import { invalid } from './invalid.ts';
import type { FileFacts } from './skippable.ts';

/** The file that is sealed: its content, as often as it is needed. */
export interface Source extends FileFacts {
  /** Up to this size it is read once and kept. */
  readonly inMemory: boolean;
  read(): AsyncIterable<Uint8Array>;
}

/** Above it, memory would be the limit. */
const IN_MEMORY_MAX_BYTES = 64 * 1024 * 1024;
const PIECE_BYTES = 1024 * 1024;

/**
 * Reads the file through once. Errors: Failure `invalid` where it has not exactly `length` bytes, `unwritable` where
 * it can't be read.
 */
export async function openSource(path: string, length: number): Promise<Source> {
  const inMemory = length <= IN_MEMORY_MAX_BYTES;
  const hash = createHash('sha256');
  const kept = Buffer.allocUnsafe(inMemory ? length : 0);
  let size = 0;
  for await (const piece of readFile(path, length)) {
    hash.update(piece);
    if (inMemory) kept.set(piece, size);
    size += piece.length;
  }
  return { size, sha256: hash.digest(), inMemory, read: () => (inMemory ? slices(kept) : readFile(path, length)) };
}

/** The content again, but its end only if it is still the same. Errors: Failure `invalid` where it is not. */
export async function* readUnchanged(source: Source, path: string): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  for await (const piece of source.read()) {
    hash.update(piece);
    yield piece;
  }
  if (!hash.digest().equals(source.sha256)) throw changed(path);
}

/** Somebody writes to a file that the server has finished. */
export function changed(path: string): Failure {
  return invalid(`${path} changed while it was sealed`);
}

async function* slices(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
}

/** Full pieces but for the last one, so that the same file is always cut in the same places. */
async function* readFile(path: string, length: number): AsyncGenerator<Uint8Array> {
  const file = await reading(path, () => open(path, 'r'));
  try {
    const { size } = await reading(path, () => file.stat());
    if (size !== length) throw invalid(`${path} has ${size} bytes, expected were ${length}`);
    const buffer = Buffer.allocUnsafe(Math.min(PIECE_BYTES, length + 1));
    for (let at = 0; ;) {
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
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    throw new Failure('unwritable', `cannot read ${path}: ${code}`, { cause: error });
  }
}
