import { randomBytes } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import type { Deadline } from '../deadline.ts';
import type { Body } from '../storage.ts';
import { codeOf } from '../../exit.ts';
import { doing, fault } from './faults.ts';
import { TEMPORARY, type Root } from './root.ts';

/** Write this much at once; a piece is never copied for it. */
const BATCH_BYTES = 4 * 1024 * 1024;
/** What one call takes at most (IOV_MAX). */
const BATCH_PIECES = 1_024;
/** Where a process number means something, the process, a random part. */
const NAME = /^(?<host>[\w-]+)\.(?<pid>[0-9]+)\.[0-9a-f]{24}\.part$/;
/** Nobody works on one for so long: every work has a deadline. */
const STALE_MS = 24 * 60 * 60 * 1_000;
/** Removes no more at a time: it must not slow a push down. */
const SWEEP_LIMIT = 8;

/** A whole, synced file that has no final name yet. */
export interface Temporary {
  readonly path: string;
  readonly dev: bigint;
  readonly ino: bigint;
  /** By the file server's own clock. */
  readonly modifiedMs: number;
}

/** Writes and syncs a body under a name that nobody else uses. Where that fails, nothing is left behind. */
export async function writeTemporary(root: Root, body: Body, deadline: Deadline): Promise<Temporary> {
  const path = `${root.path}/${TEMPORARY}/${thisHost()}.${process.pid}.${randomBytes(12).toString('hex')}.part`;
  const file = await open(root, path);
  try {
    await writeAll(file, path, body, deadline);
    await doing(`sync ${path}`, file.sync());
    const { dev, ino, mtimeMs } = await doing(`look at ${path}`, file.stat({ bigint: true }));
    await doing(`close ${path}`, file.close());
    return { path, dev, ino, modifiedMs: Number(mtimeMs) };
  } catch (error) {
    await file.close().catch(() => undefined);
    await removeTemporary(root, path);
    throw error;
  }
}

/** Removes a temporary file; where that fails, a later sweep does. */
export async function removeTemporary(root: Root, path: string): Promise<void> {
  await root.disk.unlink(path).catch(() => undefined);
}

/**
 * Removes a few of the files that ended processes left: those of this host whose process is gone, and, where the file
 * server's clock is known (`nowMs`), those of any host that are old. It never throws.
 */
export async function sweep(root: Root, nowMs?: number): Promise<void> {
  const directory = `${root.path}/${TEMPORARY}`;
  const names = await root.disk.readdir(directory).catch(() => []);
  let removed = 0;
  for (const name of names) {
    if (removed === SWEEP_LIMIT) return;
    const { host, pid } = NAME.exec(name)?.groups ?? {};
    if (host === undefined || pid === undefined) continue;
    const path = `${directory}/${name}`;
    const isLeft =
      (host === thisHost() && isGone(Number(pid))) || (nowMs !== undefined && (await isOld(root, path, nowMs)));
    if (!isLeft) continue;
    await removeTemporary(root, path);
    removed += 1;
  }
}

let host: string | undefined;

/** Containers may have the name of their host, and each counts its processes for itself. */
function thisHost(): string {
  host ??= `${readFileSync('/proc/sys/kernel/hostname', 'utf8').trim()}-${pidNamespace()}`.replaceAll(/[^\w-]/g, '_');
  return host;
}

/** Its number, or the number of this process alone where that cannot be seen: then only age tells. */
function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid').replaceAll(/[^0-9]/g, '');
  } catch {
    return `of-${process.pid}`;
  }
}

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return codeOf(error) === 'ESRCH';
  }
}

async function isOld(root: Root, path: string, nowMs: number): Promise<boolean> {
  const stats = await root.disk.lstat(path).catch(() => undefined);
  return stats !== undefined && nowMs - stats.mtimeMs >= STALE_MS;
}

async function open(root: Root, path: string): Promise<FileHandle> {
  try {
    return await root.disk.open(path, 'wx', 0o640);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw fault(error, `create ${path}`);
  }
  await makeDirectory(root);
  return doing(`create ${path}`, root.disk.open(path, 'wx', 0o640));
}

async function makeDirectory(root: Root): Promise<void> {
  const directory = `${root.path}/${TEMPORARY}`;
  try {
    await root.disk.mkdir(directory, 0o750);
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw fault(error, `make ${directory}`);
  }
}

async function writeAll(file: FileHandle, path: string, body: Body, deadline: Deadline): Promise<void> {
  let batch: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body.open()) {
    deadline.signal.throwIfAborted();
    if (piece.length === 0) continue;
    batch.push(piece);
    bytes += piece.length;
    if (bytes < BATCH_BYTES && batch.length < BATCH_PIECES) continue;
    await writeBatch(file, path, batch);
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) await writeBatch(file, path, batch);
  deadline.signal.throwIfAborted();
}

/** A write may take only a part, as just before a disk is full. */
async function writeBatch(file: FileHandle, path: string, batch: readonly Uint8Array[]): Promise<void> {
  let left = batch;
  while (left.length > 0) {
    const { bytesWritten } = await doing(`write ${path}`, file.writev(left));
    left = after(left, bytesWritten);
  }
}

function after(pieces: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const left: Uint8Array[] = [];
  let skip = bytes;
  for (const piece of pieces) {
    if (skip < piece.length) left.push(piece.subarray(skip));
    skip = Math.max(0, skip - piece.length);
  }
  return left;
}
