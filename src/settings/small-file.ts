import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';

import { codeOf, Failure } from '../exit.ts';

/** Of settings and keys, a few lines each. */
const MAX_BYTES = 1024 * 1024;

/**
 * Reads a regular file of at most 1 MiB, and nothing else: a device gives bytes without end, and a pipe may never give
 * one. `what` names the file in messages, its path included. Errors: Failure `usage`.
 */
export async function readSmallFile(path: string, what: string): Promise<Buffer> {
  let handle: FileHandle | undefined;
  try {
    // Without O_NONBLOCK, opening a pipe waits for somebody who writes to it.
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stats = await handle.stat();
    if (stats.isDirectory()) throw unfit(what, 'it is a directory', 'Name the file in it.');
    if (!stats.isFile()) throw unfit(what, 'it is no regular file', 'Pipes, sockets and devices are not read.');
    return await readAll(handle, what);
  } catch (error) {
    if (error instanceof Failure) throw error;
    const code = codeOf(error) ?? String(error);
    throw unfit(what, code, 'It must be there, and readable for the user that PostgreSQL runs as.', error);
  } finally {
    await handle?.close();
  }
}

/** Counts the bytes as they come: the size that a file system tells may be another by then, or none at all. */
async function readAll(handle: FileHandle, what: string): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(MAX_BYTES + 1);
  for (let filled = 0; ;) {
    const { bytesRead } = await handle.read(buffer, filled, buffer.length - filled, null);
    if (bytesRead === 0) return buffer.subarray(0, filled);
    filled += bytesRead;
    if (filled > MAX_BYTES) throw unfit(what, 'it is larger than 1 MiB', 'Was another file meant?');
  }
}

function unfit(what: string, reason: string, hint: string, cause?: unknown): Failure {
  return new Failure('usage', `cannot read the ${what}: ${reason}`, { hint, cause });
}
