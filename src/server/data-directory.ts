import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';

import { codeOf, Failure } from '../exit.ts';
import { parseControlFile, type ControlFile } from '../wal/control.ts';
import { WalFormatError } from '../wal/error.ts';
import { parseHistory, type HistoryEntry } from '../wal/history.ts';
import { parseWalName } from '../wal/name.ts';

/** The server rewrites pg_control in place, in microseconds: that often torn in a row is broken. */
const CONTROL_FILE_READS = 10;
const CONTROL_FILE_INTERVAL_MS = 20;

/**
 * The data directory that a WAL file belongs to: as named, else the parent of the pg_wal in an absolute path
 * (pg_rewind runs restore_command from anywhere), else the current directory (where the server runs its commands).
 */
export function locateDataDirectory(options: { pgdata?: string; walPath: string }, cwd: string): string {
  const { pgdata, walPath } = options;
  if (pgdata !== undefined) return resolve(cwd, pgdata);
  const directory = dirname(walPath);
  return isAbsolute(walPath) && basename(directory) === 'pg_wal' ? dirname(directory) : cwd;
}

/** Reads global/pg_control, again where it was torn. Errors: Failure `usage` where it is missing, unreadable or broken. */
export async function readControlFile(dataDirectory: string): Promise<ControlFile> {
  const path = join(dataDirectory, 'global', 'pg_control');
  for (let reads = 1; ; reads += 1) {
    const bytes = await readBytes(path);
    try {
      return parseControlFile(bytes);
    } catch (error) {
      if (!(error instanceof WalFormatError)) throw error;
      if (reads === CONTROL_FILE_READS) {
        throw new Failure('usage', `${path}: ${error.message}`, { hint: HINT, cause: error });
      }
    }
    await wait(CONTROL_FILE_INTERVAL_MS);
  }
}

const HINT = 'Name the data directory of a PostgreSQL server from 13 on with --pgdata, or run in it.';

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new Failure('usage', `cannot read ${path}: ${codeOf(error) ?? String(error)}`, { hint: HINT, cause: error });
  }
}

/**
 * The history files in pg_wal, by name. One that is no history, or no file, or that this user may not read, says
 * nothing about any timeline, and is left out: it must not stop the archiving of everything else. The server, which
 * runs as this user, can't follow such a one either. Errors: Failure `unwritable` where pg_wal, or its disk, can't be
 * read: what a history on a broken disk said is not known to be nothing.
 */
export async function readHistories(dataDirectory: string): Promise<{ name: string; entries: HistoryEntry[] }[]> {
  const directory = join(dataDirectory, 'pg_wal');
  const histories: { name: string; entries: HistoryEntry[] }[] = [];
  for (const name of await historyNames(directory)) {
    const entries = await readHistory(join(directory, name));
    if (entries !== undefined) histories.push({ name, entries });
  }
  return histories;
}

async function historyNames(directory: string): Promise<string[]> {
  try {
    const names = await readdir(directory);
    // Thousands of segments may lie there.
    return names.filter((name) => name.endsWith('.history') && parseWalName(name)?.kind === 'history').sort();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw new Failure('unwritable', `cannot read ${directory}: ${codeOf(error) ?? String(error)}`, { cause: error });
  }
}

/** Removed meanwhile (or a link to nowhere), a directory, not ours to read, a link to itself. */
const NO_HISTORY: ReadonlySet<string> = new Set(['ENOENT', 'EISDIR', 'EACCES', 'ELOOP']);

async function readHistory(path: string): Promise<HistoryEntry[] | undefined> {
  try {
    return parseHistory(await readFile(path, 'utf8'));
  } catch (error) {
    if (error instanceof WalFormatError || NO_HISTORY.has(codeOf(error) ?? '')) return undefined;
    throw new Failure('unwritable', `cannot read ${path}: ${codeOf(error) ?? String(error)}`, { cause: error });
  }
}
