import { constants, type Stats } from 'node:fs';
import type { Deadline } from '../deadline.ts';
import { StorageError } from '../errors.ts';
import type { ObjectInfo, StoredObject } from '../storage.ts';
import { codeOf } from '../../exit.ts';
import { doing, fault } from './faults.ts';
import type { Root, Standing } from './root.ts';

/** Bytes of a piece. */
const PIECE = 4 * 1024 * 1024;

/** An object's size and time; no digest, since a file system computes none. */
export async function headObject(root: Root, key: string): Promise<ObjectInfo> {
  const path = root.pathOf(key);
  const before = await root.prove();
  const stats = await unlessAbsent(root, key, before, () => root.disk.lstat(path));
  requireFile(path, stats);
  return { size: stats.size, modified: stats.mtime };
}

/** Opens an object. The file is opened with the first piece, so an object that nobody reads holds no descriptor. */
export async function getObject(root: Root, key: string, deadline: Deadline): Promise<StoredObject> {
  const info = await headObject(root, key);
  return { info, bytes: read(root, key, info.size, deadline) };
}

async function* read(
  root: Root,
  key: string,
  size: number,
  deadline: Deadline,
): AsyncGenerator<Uint8Array, void, undefined> {
  const path = root.pathOf(key);
  const before = await root.prove();
  // Not through a link, and not blocked by a pipe: neither is an object.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await unlessAbsent(root, key, before, () => root.disk.open(path, flags));
  try {
    let total = 0;
    for (;;) {
      deadline.signal.throwIfAborted();
      const buffer = Buffer.allocUnsafeSlow(Math.min(PIECE, Math.max(size - total, 0) + 1));
      const { bytesRead } = await doing(`read ${path}`, file.read(buffer, 0, buffer.length, total));
      total += bytesRead;
      if (total > size) throw changed(path, size, `at least ${total}`);
      if (bytesRead > 0) yield buffer.subarray(0, bytesRead);
      // Less than was asked for means that the file ends there; where it should not end yet, it is asked again.
      if (bytesRead === 0 || (total === size && bytesRead < buffer.length)) break;
    }
    if (total !== size) throw changed(path, size, String(total));
  } finally {
    await file.close();
  }
}

/** Runs `look`; where that finds nothing, proves it before it says `absent`. */
async function unlessAbsent<T>(root: Root, key: string, before: Standing, look: () => Promise<T>): Promise<T> {
  const path = root.pathOf(key);
  try {
    return await look();
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw fault(error, `open ${path}`);
    await root.proveAbsent(root.directoriesOf(key), before);
    throw new StorageError('absent', `there is no ${path}`, { cause: error });
  }
}

/** Objects are regular files. Errors: `corrupt`. */
export function requireFile(path: string, stats: Pick<Stats, 'isFile'>): void {
  if (stats.isFile()) return;
  throw new StorageError('corrupt', `${path} is not a regular file`, {
    hint: 'A directory, a link or something else lies where an object should be.',
  });
}

function changed(path: string, size: number, read: string): StorageError {
  return new StorageError('corrupt', `${path} had ${size} bytes, and ${read} were read`, {
    hint: 'Somebody changed the object while it was read: objects are never changed by this program.',
  });
}
