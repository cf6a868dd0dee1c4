/**
 * What the drain and the recovery are measured on: a stopped cluster whose pg_wal holds segments that wait for the archiver,
 * and a base backup from before them. Made once for each run; every contestant works on copies of the same bytes.
 */
import { linkSync, readdirSync, renameSync } from 'node:fs';
import { join, relative } from 'node:path';

import { formatLsn, toLsn, type Lsn } from '../../src/wal/lsn.ts';
import { parseWalName, segmentNameAt, segmentStart, toSegmentSize, type SegmentSize } from '../../src/wal/name.ts';
import { baseBackup, startPostgres, type PostgresServer, type Settings } from '../../test/harness/postgres.ts';
import { makeScratch } from '../../test/harness/scratch.ts';
import { copyAsServer, serverUser } from '../../test/harness/server-user.ts';
import { Load } from './load.ts';

const VERSION = 18;
/** pgbench's scale: a million accounts, in 128 MB. */
const BRANCHES = 10;
const TRANSACTIONS_AT_ONCE = 2_000;

/** A checkpoint each 8 segments: a good part of them are full-page images, as on a server with more than fits a small machine. */
const SETTINGS: Settings = {
  archive_mode: 'on',
  // Segments wait: without a command the archiver does nothing.
  archive_command: '',
  max_wal_size: '256MB',
  shared_buffers: '256MB',
  checkpoint_timeout: '1h',
};

/** A stopped cluster with waiting segments. */
export interface WaitingCluster {
  readonly dataDirectory: string;
  /** Names of the segments that wait, in order. */
  readonly segments: readonly string[];
  /** A base backup from before the first of them. */
  readonly backup: string;
  /** Where the last of them begins, as `0/2000000`: what a recovery needs all of them for. */
  readonly target: string;
}

/** Has a real server write so many segments. */
export async function makeWaitingCluster(count: number): Promise<WaitingCluster> {
  const server = await startPostgres({ version: VERSION, settings: SETTINGS });
  const load = await Load.make(server, BRANCHES);
  await server.query('checkpoint');
  const backup = join(makeScratch('backup', serverUser()), 'data');
  const client = await server.client();
  const { backupLabel } = await baseBackup(client, server.dataDirectory, backup, { waitForArchive: false });
  await client.end();
  const [, first] = /START WAL LOCATION.*\(file ([0-9A-F]{24})\)/.exec(backupLabel) ?? [];
  if (first === undefined) throw new Error('the base backup names no first segment');

  const waiting = (): string[] => segmentsIn(server, first);
  await load.run(TRANSACTIONS_AT_ONCE, () => waiting().length < count);
  await server.stop('fast');
  const segments = waiting().slice(0, count);
  leaveWaiting(server.dataDirectory, new Set(segments));
  const last = segments.at(-1);
  if (last === undefined || segments.length < count) throw new Error(`the load left ${segments.length} segments`);
  return { dataDirectory: server.dataDirectory, segments, backup, target: formatLsn(startOf(last)) };
}

function segmentsIn(server: PostgresServer, first: string): string[] {
  return readdirSync(statusDirectory(server.dataDirectory))
    .filter((name) => /^[0-9A-F]{24}\.ready$/.test(name))
    .map((name) => name.slice(0, 24))
    .filter((name) => name >= first)
    .sort();
}

/** All others count as archived. */
function leaveWaiting(dataDirectory: string, wanted: ReadonlySet<string>): void {
  const directory = statusDirectory(dataDirectory);
  for (const file of readdirSync(directory)) {
    const name = file.replace(/\.ready$/, '');
    if (name !== file && !wanted.has(name)) renameSync(join(directory, file), join(directory, `${name}.done`));
  }
}

export function statusDirectory(dataDirectory: string): string {
  return join(dataDirectory, 'pg_wal/archive_status');
}

function startOf(segment: string): Lsn {
  const name = parseWalName(segment);
  const start = name?.kind === 'segment' ? segmentStart(name, SEGMENT_SIZE) : undefined;
  if (start === undefined) throw new Error(`"${segment}" is no segment`);
  return start;
}

/** The name of the segment that lies so many behind one. */
export function segmentBehind(segment: string, count: number): { readonly name: string; readonly start: Lsn } {
  const parsed = parseWalName(segment);
  if (parsed?.kind !== 'segment') throw new Error(`"${segment}" is no segment`);
  const start = toLsn(startOf(segment) + BigInt(count) * BigInt(SEGMENT_SIZE));
  return { name: segmentNameAt(parsed.timeline, start, SEGMENT_SIZE).name, start };
}

function segmentSize(): SegmentSize {
  const size = toSegmentSize(16 * 1024 * 1024);
  if (size === undefined) throw new Error('16 MB is no segment size');
  return size;
}

export const SEGMENT_SIZE = segmentSize();

/**
 * A copy that shares the waiting segments' bytes, on the same file system. A server that runs on it must not recycle
 * segments: it would write over what others read. See `KEEPS_SEGMENTS`.
 */
export function copyCluster({ dataDirectory, segments }: WaitingCluster, target: string): void {
  const shared = new Set(segments.map((name) => join('pg_wal', name)));
  copyAsServer(dataDirectory, target, (path) => !shared.has(relative(dataDirectory, path)));
  for (const path of shared) linkSync(join(dataDirectory, path), join(target, path));
}

/** Settings of a server on such a copy. */
export const KEEPS_SEGMENTS: Settings = { wal_recycle: false, checkpoint_timeout: '1h', max_wal_size: '16GB' };
