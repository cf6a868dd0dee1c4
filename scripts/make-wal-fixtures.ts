/**
 * Makes test/fixtures/wal: what real servers write, cut down to what the tests read. Run it again when a new major
 * version is installed; the files differ each time (identifiers, nonces, times), their shape does not.
 *
 *     node scripts/make-wal-fixtures.ts [cluster...]        such as 18-16mb
 */
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

import { baseBackup, startFrom, startPostgres, type PostgresServer } from '../test/harness/postgres.ts';
import { waitFor } from '../test/harness/wait.ts';
import { makeScratch } from '../test/harness/scratch.ts';
import { copyAsServer, serverUser, type Version } from '../test/harness/server-user.ts';

interface ClusterToMake {
  readonly version: Version;
  readonly segmentMb: number;
}

const CLUSTERS: readonly ClusterToMake[] = [
  { version: 13, segmentMb: 16 },
  { version: 13, segmentMb: 1 },
  { version: 14, segmentMb: 16 },
  { version: 14, segmentMb: 64 },
  { version: 15, segmentMb: 16 },
  { version: 15, segmentMb: 1 },
  { version: 16, segmentMb: 16 },
  { version: 17, segmentMb: 16 },
  { version: 17, segmentMb: 64 },
  { version: 18, segmentMb: 16 },
  { version: 18, segmentMb: 1 },
];

const TARGET = join(import.meta.dirname, '..', 'test', 'fixtures', 'wal');
const PAGE_BYTES = 8192;
const CONTINUATION_FLAG = 0x0001;
const LABEL = 'a label\nof two lines';

/** One record of a megabyte: it crosses pages, and sooner or later the end of a segment. */
const BIG_RECORD = `SELECT pg_logical_emit_message(false, 'fixture', repeat('a', 1000000))`;

/**
 * Four timelines. The first is left at a named restore point for the second, and that for two others: by a standby's
 * promotion, which leaves a .partial file, and for a time, which adds a blank line to the history.
 */
async function makeCluster({ version, segmentMb }: ClusterToMake): Promise<void> {
  const work = makeScratch('fixtures', serverUser());
  const archive = join(work, 'archive');
  mkdirSync(archive);
  chmodSync(archive, 0o777);
  const archiving = {
    archive_mode: true,
    archive_command: `cp %p ${archive}/%f`,
    restore_command: `cp ${archive}/%f %p`,
    recovery_target_action: 'promote',
  };

  const primary = await startPostgres({ version, walSegmentSizeMb: segmentMb, settings: archiving });
  const client = await primary.client();
  const { rows } = await client.query<{ system_identifier: string; bytes: string }>(
    "SELECT system_identifier::text, setting AS bytes FROM pg_control_system(), pg_settings WHERE name = 'wal_segment_size'",
  );
  const backup = join(work, 'backup');
  const { backupLabel } = await baseBackup(client, primary.dataDirectory, backup, { label: LABEL });
  for (let written = 0; written < segmentMb * 1.1 + 1; written += 1) await client.query(BIG_RECORD);
  await client.query("SELECT pg_create_restore_point('before the fork')");
  await client.query('SELECT pg_switch_wal()');
  await client.query(BIG_RECORD);
  await primary.stop();

  const second = await recover(backup, join(work, 'second'), {
    ...archiving,
    recovery_target_timeline: 'latest',
    recovery_target_name: 'before the fork',
  });
  await second.query('CREATE TABLE later (at timestamptz)');
  const [moment] = await second.query('SELECT clock_timestamp()::text AS now');
  // Recovery stops at a commit that is later than its target.
  await second.query('INSERT INTO later VALUES (now())');
  const third = await promoteStandby(second, join(work, 'third'), archiving);
  await second.stop();

  const fourth = await recover(backup, join(work, 'fourth'), {
    ...archiving,
    recovery_target_timeline: 2,
    recovery_target_time: String(moment?.['now']),
  });
  await fourth.stop();

  const name = `${version}-${segmentMb}mb`;
  const target = join(TARGET, name);
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target, { recursive: true });
  copyFileSync(join(primary.dataDirectory, 'global', 'pg_control'), join(target, 'pg_control'));
  copyFileSync(join(fourth.dataDirectory, 'global', 'pg_control'), join(target, 'pg_control.copy'));
  writeFileSync(join(target, 'backup_label'), backupLabel);
  const size = keepFromArchive(archive, target);
  const facts = { version, systemId: rows[0]?.system_identifier, segmentSize: Number(rows[0]?.bytes), label: LABEL };
  if (facts.segmentSize !== size) throw new Error(`the segments of ${name} have ${size} bytes`);
  writeFileSync(join(target, 'facts.json'), `${JSON.stringify(facts, undefined, 2)}\n`);
  for (const server of [primary, second, third, fourth]) await server.remove();
  console.log(`${name}: ${readdirSync(target).join(' ')}`);
}

/** Starts a copy of the backup, recovers as the settings say, and waits until it is a primary that has archived its history. */
async function recover(
  backup: string,
  dataDirectory: string,
  settings: Record<string, string | number | boolean>,
): Promise<PostgresServer> {
  copyAsServer(backup, dataDirectory);
  const server = await startFrom(dataDirectory, { settings, signal: 'recovery' });
  await untilPromoted(server);
  return server;
}

/** Promotes a standby that streams, so that the server has a part of a segment that the archive has not. */
async function promoteStandby(
  primary: PostgresServer,
  dataDirectory: string,
  settings: Record<string, string | number | boolean>,
): Promise<PostgresServer> {
  const client = await primary.client();
  await baseBackup(client, primary.dataDirectory, dataDirectory);
  const conninfo = `host=${primary.socketDirectory} port=${primary.port} user=postgres`;
  const server = await startFrom(dataDirectory, {
    settings: { ...settings, primary_conninfo: conninfo },
    signal: 'standby',
  });
  await client.query(BIG_RECORD);
  await waitFor('streaming', async () => {
    const [row] = await primary.query(
      'SELECT count(*)::int AS same FROM pg_stat_replication WHERE replay_lsn >= pg_current_wal_lsn()',
    );
    return row?.['same'] === 1;
  });
  await server.query('SELECT pg_promote()');
  await untilPromoted(server);
  await server.stop();
  return server;
}

async function untilPromoted(server: PostgresServer): Promise<void> {
  const promoted = async (): Promise<boolean> => {
    const [row] = await server.query(
      'SELECT pg_is_in_recovery() AS recovering, last_archived_wal FROM pg_stat_archiver',
    );
    return row?.['recovering'] === false && row['last_archived_wal'] !== null;
  };
  await waitFor('promotion', promoted, 30_000, () => server.log());
}

/** Keeps all metadata files, and the first pages of one segment of each kind. Returns the size of a segment. */
function keepFromArchive(archive: string, target: string): number {
  const names = readdirSync(archive).sort();
  const segments = names.filter((name) => name.length === 24);
  const page = (name: string): Buffer => readFileSync(join(archive, name)).subarray(0, PAGE_BYTES);
  const continues = (name: string): boolean => (page(name).readUInt16LE(2) & CONTINUATION_FLAG) !== 0;
  const wanted = [
    segments[0],
    segments.find(continues),
    segments.find((name) => name.startsWith('00000002')),
    segments.find((name) => name.startsWith('00000004')),
    names.find((name) => name.endsWith('.partial')),
  ];
  const found = wanted.filter((name) => name !== undefined);
  if (found.length < wanted.length) throw new Error(`the archive holds only ${names.join(' ')}`);
  for (const name of found) writeFileSync(join(target, name), page(name));
  for (const name of names.filter((one) => /\.(history|backup)$/.test(one))) {
    copyFileSync(join(archive, name), join(target, name));
  }
  const [first] = found;
  return statSync(join(archive, first ?? '')).size;
}

const only = process.argv.slice(2);
for (const cluster of CLUSTERS) {
  if (only.length === 0 || only.includes(`${cluster.version}-${cluster.segmentMb}mb`)) await makeCluster(cluster);
}
