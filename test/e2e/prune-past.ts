/** A cluster's life on three timelines, with base backups on each, and what it held where each timeline ends. */
import { join } from 'node:path';

import { Host } from '../harness/archiving.ts';
import {
  createLedger,
  fillSegments,
  summary,
  untilAllArchived,
  untilOpen,
  untilStopped,
  type Summary,
} from '../harness/ledger.ts';
import { pgBasebackup } from '../harness/pg-clients.ts';
import { startFrom, startPostgres, type PostgresServer, type Settings } from '../harness/postgres.ts';
import { makeScratch } from '../harness/scratch.ts';
import { serverUser, type Version } from '../harness/server-user.ts';
import { waitFor } from '../harness/wait.ts';
import type { Place } from './prune-places.ts';
import { Shelf } from './backup-shelf.ts';

/** Incremental backups came with this version. */
const INCREMENTAL_SINCE = 17;
const LIMIT_MS = 30_000;

export interface Past {
  readonly place: Place;
  readonly shelf: Shelf;
  readonly host: Host;
  readonly systemId: string;
  /** What the backup `a` held. */
  readonly atFirstBackup: Summary;
  /** By timeline. */
  readonly ends: Map<number, Summary>;
  /** On the last timeline, and archiving. */
  readonly server: PostgresServer;
}

/**
 * Lives it through. b1, b2 and d1 are incremental, and are there where the server knows such; c is a standby's; a brings
 * its own WAL, all others live from the archive.
 *
 *     timeline 1 --a--b--b1--+--b2--c--|
 *                            |
 *     timeline 2             +--d--d1--+---|
 *                                      |
 *     timeline 3                       +--e--> the server that runs
 */
export async function liveThrough(place: Place, version: Version): Promise<Past> {
  const host = await Host.make(place.site, place.options);
  const shelf = new Shelf(place, version);
  const canIncrement = version >= INCREMENTAL_SINCE;
  const increment = async (server: PostgresServer, name: string, from: string): Promise<void> => {
    if (canIncrement) await shelf.take(server, name, { from });
  };
  const more: Settings = canIncrement ? { summarize_wal: true } : {};
  const { env } = host;
  const ends = new Map<number, Summary>();
  const endTimeline = async (server: PostgresServer, timeline: number): Promise<void> => {
    await fillSegments(server, 2);
    ends.set(timeline, await summary(server));
    await untilAllArchived(server);
  };
  const fork = async (from: string, point: string): Promise<PostgresServer> => {
    const settings = { ...host.restoring, ...more, recovery_target_name: point };
    const server = await startFrom(await shelf.restore(from), { signal: 'recovery', settings, env });
    await untilOpen(server);
    await fillSegments(server, 1);
    return server;
  };

  await using first = await startPostgres({
    version,
    walSegmentSizeMb: 1,
    settings: { ...host.archiving, ...more },
    env,
  });
  const [control] = await first.query('SELECT system_identifier::text AS id FROM pg_control_system()');
  await createLedger(first);
  await fillSegments(first, 1);
  const atFirstBackup = await summary(first);
  await shelf.take(first, 'a', { wal: 'stream' });
  await fillSegments(first, 2);
  await shelf.take(first, 'b');
  await fillSegments(first, 1);
  await increment(first, 'b1', 'b');
  await fillSegments(first, 1);
  await first.query("SELECT pg_create_restore_point('early')");
  await fillSegments(first, 1);
  await increment(first, 'b2', 'b1');
  await fillSegments(first, 1);
  await takeFromStandby(first, shelf, 'c');
  await endTimeline(first, 1);
  await first.stop();

  await using second = await fork(canIncrement ? 'b1' : 'b', 'early');
  await shelf.take(second, 'd');
  await fillSegments(second, 1);
  await increment(second, 'd1', 'd');
  await fillSegments(second, 1);
  await second.query("SELECT pg_create_restore_point('later')");
  await endTimeline(second, 2);
  await second.stop();

  const server = await fork('d', 'later');
  await shelf.take(server, 'e');
  await endTimeline(server, 3);
  return { place, shelf, host, systemId: String(control?.['id']), atFirstBackup, ends, server };
}

async function takeFromStandby(primary: PostgresServer, shelf: Shelf, name: string): Promise<void> {
  const directory = join(makeScratch('standby', serverUser()), 'data');
  await pgBasebackup(primary, directory);
  const primary_conninfo = `host=${primary.socketDirectory} port=${primary.port} user=postgres`;
  await using standby = await startFrom(directory, { signal: 'standby', settings: { primary_conninfo } });
  // A backup of a standby begins where its primary's last checkpoint did.
  await primary.query('CHECKPOINT');
  const [row] = await primary.query('SELECT pg_current_wal_flush_lsn()::text AS lsn');
  const hasReplayed = async (): Promise<boolean> => {
    const [replayed] = await standby.query('SELECT pg_last_wal_replay_lsn() >= $1 AS yes', [row?.['lsn']]);
    return replayed?.['yes'] === true;
  };
  await waitFor('the standby to have replayed the checkpoint', hasReplayed, LIMIT_MS, () => standby.log());
  await shelf.take(standby, name);
}

/** Recovers a backup by the archive alone, as far as `target` says, and tells what it holds. Nothing is archived. */
export async function recover(past: Past, name: string, target: Settings): Promise<Summary> {
  await using server = await startRecovery(past, name, target);
  await untilOpen(server);
  return await summary(server);
}

/** The log of a recovery that ends the server. */
export async function failToRecover(past: Past, name: string, target: Settings): Promise<string> {
  await using server = await startRecovery(past, name, target);
  await untilStopped(server);
  return server.log();
}

async function startRecovery({ shelf, host }: Past, name: string, target: Settings): Promise<PostgresServer> {
  const settings = { ...target, restore_command: host.restoreCommand };
  return startFrom(await shelf.restore(name), { signal: 'recovery', settings, env: host.env, waitUntilReady: false });
}
