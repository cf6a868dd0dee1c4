import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { Client, type QueryResultRow } from 'pg';

import { eventually, type Stage } from './stage.ts';
import { NotAsTold, statement } from './tell.ts';

/** Not part of a base backup; the manual, "Making a Base Backup Using the Low Level API". */
const NOT_BACKED_UP = new Set([
  'pg_wal',
  'postmaster.pid',
  'postmaster.opts',
  'pg_replslot',
  'pg_stat_tmp',
  'pg_subtrans',
  'pg_notify',
  'pg_serial',
  'pg_snapshots',
  'pg_dynshmem',
]);
const LOG_TAIL_LINES = 25;
export const RECOVERY_LOG = 'log/recovery.log';
const LOGS = [RECOVERY_LOG, 'log/server.log'];

/** A connection to the server of the stage, over its socket. */
export class Session {
  readonly #client: Client;

  private constructor(client: Client) {
    this.#client = client;
  }

  static async open(stage: Stage): Promise<Session> {
    const client = new Client({ host: stage.path('socket'), user: 'demo', database: 'postgres', password: 'unused' });
    // The server is destroyed in the course of events, and an 'error' event without a listener would end the demo.
    client.on('error', () => undefined);
    await client.connect();
    return new Session(client);
  }

  /** Shows a statement and runs it. */
  async show(sql: string): Promise<void> {
    statement(`${sql};`);
    await this.#client.query(sql);
  }

  async rows<Row extends QueryResultRow>(sql: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.#client.query<Row>(sql, values)).rows;
  }

  /** The value of a query that returns one: a text, a bigint (a text for us) or a boolean. */
  async value(sql: string): Promise<string> {
    const { rows } = await this.#client.query<unknown[]>({ text: sql, rowMode: 'array' });
    const value = rows[0]?.[0];
    if (rows.length === 1 && (typeof value === 'string' || typeof value === 'boolean')) return String(value);
    throw new NotAsTold(`"${sql}" returned no text`);
  }

  async close(): Promise<void> {
    await this.#client.end().catch(() => undefined);
  }
}

/** Closes the current segment, and waits until the server holds it for archived. Returns its name. */
export async function archiveCurrentSegment(session: Session): Promise<string> {
  const name = await session.value('select pg_walfile_name(pg_switch_wal())');
  await untilArchived(session, name);
  return name;
}

/** Waits until the server has marked the file as archived, which it does on nothing but a 0 of archive_command. */
export async function untilArchived(session: Session, name: string): Promise<void> {
  await eventually(`the server has archived ${name}`, async () => {
    const done = await session.value(`select count(*) from pg_ls_archive_statusdir() where name = '${name}.done'`);
    return done === '1';
  });
}

/**
 * Takes a base backup while the server works: pg_backup_start, a copy, pg_backup_stop. `meanwhile` runs during it.
 * The copy reaches consistency only with WAL from the archive.
 */
export async function takeBaseBackup(session: Session, stage: Stage, meanwhile: () => Promise<void>): Promise<void> {
  await session.show("select pg_backup_start('demo', fast => true)");
  stage.makeDirectory('backup');
  copyDirectory(stage.path('data'), stage.path('backup'), stage, NOT_BACKED_UP);
  await meanwhile();
  statement('select * from pg_backup_stop();');
  const [end] = await session.rows<{ labelfile: string }>('select labelfile from pg_backup_stop()');
  if (end === undefined) throw new NotAsTold('pg_backup_stop returned nothing');
  for (const name of NOT_BACKED_UP) {
    if (!name.startsWith('postmaster')) stage.makeDirectory(`backup/${name}`);
  }
  writeOwned(stage, 'backup/backup_label', end.labelfile);
}

/** Copies a directory that is being written: files may go while we look. */
function copyDirectory(from: string, to: string, stage: Stage, except: ReadonlySet<string>): void {
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const source = join(from, entry.name);
    const target = join(to, entry.name);
    if (except.has(entry.name) || entry.name.startsWith('pgsql_tmp')) continue;
    if (entry.isDirectory()) {
      mkdirSync(target, { mode: 0o700 });
      copyDirectory(source, target, stage, new Set());
    } else if (!copyIfThere(source, target)) continue;
    stage.own(target);
  }
}

function copyIfThere(source: string, target: string): boolean {
  try {
    copyFileSync(source, target);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

/** Writes a file of the stage, readable for its user alone. */
export function writeOwned(stage: Stage, relative: string, text: string): void {
  writeFileSync(stage.path(relative), text, { mode: 0o600 });
  stage.own(stage.path(relative));
}

/** The end of the server's last log, or '' where there is none. */
export function logTail(stage: Stage): string {
  const last = LOGS.map((name) => stage.path(name)).find((path) => existsSync(path));
  return last === undefined ? '' : readFileSync(last, 'utf8').trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n');
}
