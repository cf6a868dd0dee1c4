import { readFileSync } from 'node:fs';

import { Host, makeSite, type HostOptions, type Site } from './archiving.ts';
import { Removable } from './interference.ts';
import {
  addRows,
  createLedger,
  fillSegments,
  startCopy,
  summary,
  takeBackup,
  untilAllArchived,
  untilLogged,
  type Summary,
} from './ledger.ts';
import { startPostgres, type PostgresServer, type Settings } from './postgres.ts';
import type { Version } from './server-user.ts';
import { waitFor } from './wait.ts';

/** Long enough that a standby sleeps when it has just asked. */
export const SELDOM = { wal_retrieve_retry_interval: '1s' };
/** So short that a few seconds hold as many rounds as an outage of minutes. */
export const OFTEN = { wal_retrieve_retry_interval: '50ms' };

/** What wal-fetch says while the directory of the archive is away. */
export const AWAY = /wal-fetch: archive file:.*there is no directory/;

/** A primary, a base backup of it, and what archives and restores for it and its standbys. */
export interface Primary extends AsyncDisposable {
  readonly site: Site;
  readonly host: Host;
  readonly archive: Removable;
  readonly primary: PostgresServer;
  readonly backup: string;
}

/** Makes a primary with two segments in its archive. `settings`: added to those that archive. */
export async function startPrimary(
  version: Version,
  options: HostOptions & { readonly settings?: Settings } = {},
): Promise<Primary> {
  const site = makeSite();
  const host = await Host.make(site, options);
  const settings = { ...host.archiving, ...options.settings };
  const primary = await startPostgres({ version, walSegmentSizeMb: 1, settings, env: host.env });
  await createLedger(primary);
  const backup = await takeBackup(primary);
  await fillSegments(primary, 2);
  await untilAllArchived(primary);
  return {
    site,
    host,
    archive: new Removable(site.archives[0]),
    primary,
    backup,
    [Symbol.asyncDispose]: () => primary.remove(),
  };
}

/** A primary and a standby that streams from it and shares its archive. */
export interface Pair extends Primary {
  readonly standby: PostgresServer;
}

export async function startPair(version: Version, options: HostOptions = {}): Promise<Pair> {
  const made = await startPrimary(version, options);
  const settings = { ...SELDOM, ...following(made.host, made.primary) };
  const standby = await startCopy(made.backup, { signal: 'standby', settings, env: made.host.env });
  await untilStreaming(standby);
  return {
    ...made,
    standby,
    async [Symbol.asyncDispose]() {
      await standby.remove();
      await made.primary.remove();
    },
  };
}

/** The settings of a standby that restores, archives once it is promoted, and streams from that server, if any. */
export function following(host: Host, from?: PostgresServer): Settings {
  const stream = from === undefined ? {} : { primary_conninfo: conninfo(from) };
  return { ...host.archiving, restore_command: host.restoreCommand, ...stream };
}

/** How a program connects to a server. */
export function conninfo(server: PostgresServer): string {
  return `host=${server.socketDirectory} port=${server.port} user=postgres`;
}

/** The archive goes away, the stream breaks, the standby asks in vain and streams again. Returns what both hold then. */
export async function outlastOutage({ primary, standby, archive }: Pair): Promise<Summary> {
  archive.remove();
  const from = standby.log().length;
  await primary.query('SELECT pg_terminate_backend(pid) FROM pg_stat_replication');
  await untilLogged(standby, AWAY, from);
  await addRows(primary, 500);
  await untilStreaming(standby);
  const all = await summary(primary);
  await untilHolds(standby, all);
  return all;
}

/** The primary dies, and the standby has asked everywhere for more. */
export async function lose(primary: PostgresServer, standby: PostgresServer): Promise<void> {
  const from = standby.log().length;
  await primary.stop('immediate');
  await untilLogged(standby, AWAY, from);
  await untilAsleep(standby);
}

/** Until a standby has replayed so far. */
export async function untilHolds(standby: PostgresServer, wanted: Summary): Promise<void> {
  await waitFor(
    `${wanted.rows} rows`,
    async () => (await summary(standby).catch(() => undefined))?.checksum === wanted.checksum,
    30_000,
    () => standby.log().slice(-4_000),
  );
}

export async function untilStreaming(standby: PostgresServer): Promise<void> {
  await waitFor(
    'the standby to stream',
    async () => {
      const [row] = await standby.query('SELECT status FROM pg_stat_wal_receiver').catch(() => []);
      return row?.['status'] === 'streaming';
    },
    30_000,
    () => standby.log().slice(-4_000),
  );
}

/**
 * Until the standby has had its answer and sleeps before it asks again. A promotion that is asked for in the
 * milliseconds between a refusal and the server's own look for it takes that refusal for 'nothing more is there'.
 */
export async function untilAsleep(standby: PostgresServer): Promise<void> {
  const [row] = await standby.query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'startup'");
  const pid = Number(row?.['pid']);
  await waitFor(
    'the standby to sleep',
    async () => {
      const rows = await standby.query("SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup'");
      const isIdle = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim() === '';
      return isIdle && rows[0]?.['wait_event'] === 'RecoveryRetrieveRetryInterval';
    },
    30_000,
    () => standby.log().slice(-4_000),
  );
}

/** How often the log says something, from a position on. */
export function times(server: PostgresServer, pattern: RegExp, from = 0): number {
  return server
    .log()
    .slice(from)
    .split('\n')
    .filter((line) => pattern.test(line)).length;
}
