import { existsSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

import { codeOf, Failure } from '../exit.ts';
import type { SystemId } from '../wal/control.ts';
import { WalFormatError } from '../wal/error.ts';
import { checkSegmentHeader } from '../wal/header.ts';
import { parseHistory } from '../wal/history.ts';
import { segmentStart, type SegmentName, type WalName } from '../wal/name.ts';
import { SegmentScan, WAL_PAGE_BYTES } from '../wal/segment.ts';

/** What pg_wal has under a name: the server looks there when the archive says 'absent'. */
export type InPgWal = 'nothing' | 'unfinished' | 'whole';

const PIECE_BYTES = 128 * WAL_PAGE_BYTES;

/**
 * Whether pg_wal holds the file itself. The name proves nothing: old segments are recycled under future names, and
 * the last one may be half-written. Errors: Failure `unwritable` where it can't be read.
 */
export async function lookInPgWal(dataDirectory: string, name: WalName, systemId: SystemId): Promise<InPgWal> {
  const path = join(dataDirectory, 'pg_wal', name.name);
  try {
    return await look(path, dataDirectory, name, systemId);
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT') return 'nothing';
    if (code === undefined) throw error;
    throw new Failure('unwritable', `cannot read ${path}: ${code}`, { cause: error });
  }
}

async function look(path: string, dataDirectory: string, name: WalName, systemId: SystemId): Promise<InPgWal> {
  const file = await open(path, 'r');
  try {
    if (name.kind === 'history') return isHistory(await file.readFile('utf8')) ? 'whole' : 'unfinished';
    if (name.kind !== 'segment') return 'unfinished';
    const verdict = await scan(file, name, systemId);
    const isWhole = verdict === 'finished' || (verdict === 'open-ended' && isMarkedFinished(dataDirectory, name));
    return isWhole ? 'whole' : 'unfinished';
  } finally {
    await file.close();
  }
}

function isHistory(text: string): boolean {
  try {
    return parseHistory(text).length > 0;
  } catch (error) {
    if (error instanceof WalFormatError) return false;
    throw error;
  }
}

/** The server marks a segment for the archiver when it is full or was switched away from. */
function isMarkedFinished(dataDirectory: string, { name }: SegmentName): boolean {
  const status = join(dataDirectory, 'pg_wal', 'archive_status', name);
  return existsSync(`${status}.ready`) || existsSync(`${status}.done`);
}

async function scan(
  file: FileHandle,
  name: SegmentName,
  systemId: SystemId,
): Promise<ReturnType<SegmentScan['verdict']>> {
  const { size } = await file.stat();
  const piece = Buffer.alloc(PIECE_BYTES);
  await file.read(piece, 0, WAL_PAGE_BYTES, 0);
  const { problem, segmentSize } = checkSegmentHeader(name, size, piece.subarray(0, WAL_PAGE_BYTES), systemId);
  const start = segmentSize === undefined ? undefined : segmentStart(name, segmentSize);
  if (problem !== undefined || start === undefined) return 'stale';
  const pages = new SegmentScan(start);
  for (let at = 0; at < size; at += PIECE_BYTES) {
    const { bytesRead } = await file.read(piece, 0, PIECE_BYTES, at);
    for (let page = 0; page < bytesRead; page += WAL_PAGE_BYTES) {
      pages.page(piece.subarray(page, page + WAL_PAGE_BYTES));
    }
  }
  return pages.verdict();
}
