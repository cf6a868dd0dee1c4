/** One cluster's past for each version, which all recoveries of a test file start from. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';

import { copyArchive, Host, makeSite, type Site } from '../harness/archiving.ts';
import {
  addRows,
  createLedger,
  fillSegments,
  startStandby,
  summary,
  switchSegment,
  takeBackup,
  untilAllArchived,
  untilReplayed,
  type Summary,
} from '../harness/ledger.ts';
import { needPgClients, pgBasebackup } from '../harness/pg-clients.ts';
import { startPostgres, type PostgresServer, type Settings } from '../harness/postgres.ts';
import { makeScratch } from '../harness/scratch.ts';
import { serverUser, type Version } from '../harness/server-user.ts';

export const TARGETS = ['name', 'time', 'lsn', 'xid'] as const;
type Target = (typeof TARGETS)[number];

export interface Past {
  readonly site: Site;
  readonly backup: string;
  /** A standby's, where there is pg_basebackup: of about the same moment. */
  readonly standbyBackup: string | undefined;
  readonly atBackup: Summary;
  /** All the same moment, said in four ways. */
  readonly targets: Readonly<Record<Target, Settings>>;
  readonly atTarget: Summary;
  readonly atTheEnd: Summary;
}

const pasts = new Map<Version, Promise<Past>>();

/** The past of this version's cluster, whose server is gone; made once. */
export function pastOf(version: Version): Promise<Past> {
  const past = pasts.get(version) ?? live(version);
  pasts.set(version, past);
  return past;
}

/** A copy of its archive, which a test may fill and damage, and walseal set up for it. */
export async function ownArchive(past: Past): Promise<{ archive: string; host: Host }> {
  const archive = copyArchive(past.site.archives[0]);
  return { archive, host: await Host.make(past.site, { archives: [{ url: archive }] }) };
}

async function live(version: Version): Promise<Past> {
  const site = makeSite();
  const host = await Host.make(site);
  const { archiving, env } = host;
  await using server = await startPostgres({ version, walSegmentSizeMb: 1, settings: archiving, env });
  await createLedger(server);
  await fillSegments(server, 1);
  const standbyBackup = needPgClients() ? undefined : await backUpStandby(server);
  const backup = await takeBackup(server);
  const atBackup = await summary(server);
  await fillSegments(server, 2);
  const targets = await markTarget(server);
  const atTarget = await summary(server);
  await server.query("INSERT INTO ledger (entry) VALUES ('the first that is not wanted')");
  await fillSegments(server, 2);
  await addRows(server, 1);
  const atTheEnd = await summary(server);
  await switchSegment(server);
  await untilAllArchived(server);
  return { site, backup, standbyBackup, atBackup, targets, atTarget, atTheEnd };
}

async function markTarget(server: PostgresServer): Promise<Past['targets']> {
  const [transaction] = await server.query(
    "INSERT INTO ledger (entry) VALUES ('the last that is wanted') RETURNING pg_current_xact_id()::text AS xid",
  );
  const [point] = await server.query(
    "SELECT pg_create_restore_point('before the mistake')::text AS lsn, clock_timestamp()::text AS time",
  );
  return {
    name: { recovery_target_name: 'before the mistake' },
    time: { recovery_target_time: String(point?.['time']) },
    lsn: { recovery_target_lsn: String(point?.['lsn']) },
    xid: { recovery_target_xid: String(transaction?.['xid']) },
  };
}

async function backUpStandby(primary: PostgresServer): Promise<string> {
  const directory = join(makeScratch('backup', serverUser()), 'data');
  await using standby = await startStandby(primary);
  // A backup of a standby begins where its primary's last checkpoint did.
  await primary.query('CHECKPOINT');
  await untilReplayed(standby, primary);
  await pgBasebackup(standby, directory, ['-X', 'none']);
  // It is copied too, and would make a standby of what is recovered.
  rmSync(join(directory, 'standby.signal'));
  return directory;
}
