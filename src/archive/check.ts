import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';

import { codeOf, Failure } from '../exit.ts';
import type { SystemId } from '../wal/control.ts';
import { checkSegmentHeader } from '../wal/header.ts';
import { parseWalName, type WalName } from '../wal/name.ts';

/** The first page holds the long header that tells what a segment is. */
const FIRST_PAGE_BYTES = 8192;
/** A history file has a line for each timeline, a backup history file about ten: far below this. */
const LARGEST_METADATA_FILE_BYTES = 16 * 1024 * 1024;

/** A file that the server hands over, as far as a look at its name, size and first page tells. */
export interface WalFile {
  readonly path: string;
  readonly name: WalName;
  /** Bytes. */
  readonly length: number;
  readonly modified: Date;
  /** Why it must not take its name in the archive; absent where all is right. */
  readonly problem?: string;
  /** What is unusual, but no reason to refuse it. */
  readonly warning?: string;
}

type Looks = Omit<WalFile, 'path' | 'name'>;

/**
 * Looks at the file that PostgreSQL wants archived: the name, the size, and for segments the long page header
 * (page address, size, timeline, system identifier; xlog_internal.h). A file with a wrong header is returned with
 * its `problem`, since what becomes of it depends on the timelines.
 * Errors: Failure `invalid` where there is no WAL file at the path, `unwritable` where it can't be read.
 */
export async function readWalFile(path: string, systemId: SystemId): Promise<WalFile> {
  const name = parseWalName(basename(path));
  if (name === undefined) {
    throw new Failure('invalid', `"${basename(path)}" is not the name of a WAL file`, {
      hint: 'archive_command passes "%p": a path in pg_wal that ends with the name of a segment, .partial, .backup or .history file.',
    });
  }
  const file = await reading(path, open(path, constants.O_RDONLY | constants.O_NONBLOCK));
  try {
    return { path, name, ...(await look(file, path, name, systemId)) };
  } finally {
    await file.close();
  }
}

async function look(file: FileHandle, path: string, name: WalName, systemId: SystemId): Promise<Looks> {
  const stat = await reading(path, file.stat());
  if (!stat.isFile()) throw new Failure('invalid', `${path} is not a regular file`);
  const seen = { length: stat.size, modified: stat.mtime };
  if (name.kind === 'history' || name.kind === 'backup') return { ...seen, ...checkMetadata(stat.size) };
  const page = Buffer.alloc(FIRST_PAGE_BYTES);
  const { bytesRead } = await reading(path, file.read(page, 0, page.length, 0));
  return { ...seen, ...checkSegmentHeader(name, stat.size, page.subarray(0, bytesRead), systemId) };
}

function checkMetadata(length: number): { problem?: string } {
  if (length === 0) return { problem: 'the file is empty' };
  if (length > LARGEST_METADATA_FILE_BYTES)
    return { problem: `the file has ${length} bytes, far more than its kind ever has` };
  return {};
}

async function reading<T>(path: string, step: Promise<T>): Promise<T> {
  try {
    return await step;
  } catch (error) {
    const code = codeOf(error) ?? String(error);
    if (code === 'ENOENT') {
      throw new Failure('invalid', `there is no file ${path}`, {
        hint: 'pg_wal/... counts from the data directory: run it there. If the server asked for it, somebody has removed it.',
        cause: error,
      });
    }
    throw new Failure('unwritable', `cannot read ${path}: ${code}`, {
      hint: 'It must be readable for the user that PostgreSQL runs as. If it is, look at the disk: this may be the only copy.',
      cause: error,
    });
  }
}
