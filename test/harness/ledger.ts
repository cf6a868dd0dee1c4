import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { baseBackup, startFrom, type PostgresServer, type ServerOptions } from './postgres.ts';
import { makeScratch } from './scratch.ts';
import { copyAsServer, serverUser } from './server-user.ts';
import { waitFor } from './wait.ts';

const CREATE = `CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, entry text NOT NULL)`;
const SUMMARY = `SELECT count(*)::int AS rows, md5(string_agg(id || entry, ',' ORDER BY id)) AS checksum FROM ledger`;

/** What a database holds. */
export interface Summary {
  readonly rows: number;
  readonly checksum: string;
}

export async function createLedger(server: PostgresServer): Promise<void> {
  await server.query(CREATE);
}

/** Adds rows, about 120 bytes of WAL each and no two the same, in one transaction. */
export async function addRows(server: PostgresServer, rows: number): Promise<void> {
  await server.query('INSERT INTO ledger (entry) SELECT md5(random()::text) FROM generate_series(1, $1::int)', [rows]);
}

export async function summary(server: PostgresServer): Promise<Summary> {
  const [row] = await server.query(SUMMARY);
  return { rows: Number(row?.['rows']), checksum: String(row?.['checksum']) };
}

/** Ends the current segment, which has something to say, and returns its name. */
export async function switchSegment(server: PostgresServer): Promise<string> {
  await server.query("SELECT pg_logical_emit_message(true, 'test', 'a segment is never empty')");
  const [row] = await server.query('SELECT pg_walfile_name(pg_switch_wal()) AS name');
  return String(row?.['name']);
}

/** Adds rows and ends the segment that they are in, `count` times over. Returns the names of the segments. */
export async function fillSegments(server: PostgresServer, count: number, rowsEach = 200): Promise<string[]> {
  const names: string[] = [];
  for (let i = 0; i < count; i += 1) {
    await addRows(server, rowsEach);
    names.push(await switchSegment(server));
  }
  return names;
}

/** What the server has not archived yet, in order. */
export function waiting(server: PostgresServer): string[] {
  return readdirSync(join(server.dataDirectory, 'pg_wal', 'archive_status'))
    .filter((name) => name.endsWith('.ready'))
    .map((name) => name.slice(0, -'.ready'.length))
    .sort();
}

/** Until the server waits for no push any more. */
export async function untilAllArchived(server: PostgresServer): Promise<void> {
  await waitFor(
    'the archive to have everything',
    () => waiting(server).length === 0,
    LIMIT_MS,
    () => `still there: ${waiting(server).join(' ')}\n${server.log().slice(-4_000)}`,
  );
}

export async function untilLogged(server: PostgresServer, pattern: RegExp | string, from = 0): Promise<void> {
  await waitFor(
    `the log to say ${String(pattern)}`,
    () => logged(server, pattern, from),
    LIMIT_MS,
    () => server.log().slice(from),
  );
}

/** Whether the log, from a position on, says something. */
export function logged(server: PostgresServer, pattern: RegExp | string, from = 0): boolean {
  const text = server.log().slice(from);
  return typeof pattern === 'string' ? text.includes(pattern) : pattern.test(text);
}

/** Until a recovery or a promotion is over, and the server takes writes. */
export async function untilOpen(server: PostgresServer): Promise<void> {
  await waitFor(
    'the end of recovery',
    async () => {
      if (server.pid === undefined) throw new Error(`the server stopped:\n${server.log().slice(-6_000)}`);
      const [row] = await server.query('SELECT pg_is_in_recovery() AS recovering').catch(() => []);
      return row?.['recovering'] === false;
    },
    LIMIT_MS,
    () => server.log().slice(-4_000),
  );
}

/** Until the server has ended by itself. */
export async function untilStopped(server: PostgresServer): Promise<void> {
  await waitFor(
    'the server to stop by itself',
    () => server.pid === undefined,
    LIMIT_MS,
    () => server.log().slice(-4_000),
  );
}

export interface ArchiverStatistics {
  readonly archived: number;
  readonly failed: number;
  readonly lastFailed: string | null;
}

export async function archiverStatistics(server: PostgresServer): Promise<ArchiverStatistics> {
  const [row] = await server.query('SELECT archived_count, failed_count, last_failed_wal FROM pg_stat_archiver');
  const last = row?.['last_failed_wal'];
  return {
    archived: Number(row?.['archived_count']),
    failed: Number(row?.['failed_count']),
    lastFailed: typeof last === 'string' ? last : null,
  };
}

/** Starts a hot standby of a server that runs, which follows it by streaming. */
export async function startStandby(primary: PostgresServer, options: ServerOptions = {}): Promise<PostgresServer> {
  const primary_conninfo = `host=${primary.socketDirectory} port=${primary.port} user=postgres`;
  const settings = { primary_conninfo, ...options.settings };
  return startCopy(await takeBackup(primary), { ...options, signal: 'standby', settings });
}

/** Until a standby has replayed all that its primary has written by now. */
export async function untilReplayed(standby: PostgresServer, primary: PostgresServer): Promise<void> {
  const [row] = await primary.query('SELECT pg_current_wal_flush_lsn()::text AS lsn');
  const hasReplayed = async (): Promise<boolean> => {
    const [replayed] = await standby.query('SELECT pg_last_wal_replay_lsn() >= $1 AS yes', [row?.['lsn']]);
    return replayed?.['yes'] === true;
  };
  await waitFor('the standby to have replayed everything', hasReplayed, LIMIT_MS, () => standby.log());
}

/** Takes a base backup, without WAL, into a directory of its own. */
export async function takeBackup(server: PostgresServer): Promise<string> {
  const target = join(makeScratch('backup', serverUser()), 'data');
  const client = await server.client();
  await baseBackup(client, server.dataDirectory, target, { waitForArchive: false });
  await client.end();
  return target;
}

/**
 * Starts a server on a copy of a backup (or of a stopped server's data directory). `inPgWal`: names of files that
 * are laid into its pg_wal first, and where they come from.
 */
export async function startCopy(
  backup: string,
  options: ServerOptions & { readonly inPgWal?: Readonly<Record<string, string>> },
): Promise<PostgresServer> {
  const { inPgWal = {}, ...others } = options;
  const dataDirectory = join(makeScratch('copy', serverUser()), 'data');
  copyAsServer(backup, dataDirectory);
  for (const [name, source] of Object.entries(inPgWal)) copyAsServer(source, join(dataDirectory, 'pg_wal', name));
  return startFrom(dataDirectory, others);
}

const LIMIT_MS = 30_000;
