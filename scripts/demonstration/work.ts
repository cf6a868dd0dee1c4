import type { Place } from './place.ts';
import { archiveCurrentSegment, Session, takeBaseBackup, writeOwned } from './server.ts';
import type { Stage } from './stage.ts';
import { chapter, check, progress, progressEnds, say } from './tell.ts';

const ACCOUNTS = 20_000;
const PAYMENTS_PER_BATCH = 5_000;

const SQL = {
  accounts: `create table accounts as select id, md5(id::text) as owner from generate_series(1, ${ACCOUNTS}) id`,
  payments:
    'create table payments (id bigint generated always as identity, account int, amount int, at timestamptz default now())',
  batch:
    'insert into payments (account, amount) ' +
    `select 1 + random() * ${ACCOUNTS - 1}, random() * 500 from generate_series(1, ${PAYMENTS_PER_BATCH})`,
};

/** Rows and content of the table that will be dropped, in one line. */
export const CHECKSUM =
  "select count(*) || ' payments, md5 ' || md5(string_agg(payments::text, ',' order by id)) from payments";

/** What was true before the drop. */
export interface Before {
  readonly systemId: string;
  readonly checksum: string;
  /** The moment to come back to, in the words of the server. */
  readonly moment: string;
  /** The last segment that was archived by then. */
  readonly segment: string;
}

/** Makes keys, settings and a cluster, and starts it. */
export async function setUp(stage: Stage, place: Place): Promise<void> {
  chapter('Keys, settings, and the two lines of postgresql.conf');
  say(`Everything happens in ${stage.directory}, which is removed at the end.`);
  if (stage.user !== undefined) say(`PostgreSQL does not run as root: user ${stage.user.name} runs these commands.`);
  say('');
  for (const directory of ['etc', 'log', 'socket', 'aux']) stage.makeDirectory(directory);
  await place.open(stage);
  await stage.must('walseal keygen --directory etc > etc/walseal.toml');
  await stage.must(place.settings());
  await stage.must('cat etc/walseal.toml');
  await stage.quietly('initdb -D data -U demo --auth=trust --no-locale -E UTF8');
  writeOwned(stage, 'aux/server.conf', serverSettings(stage));
  await stage.quietly('cat aux/server.conf >> data/postgresql.conf');
  await stage.must('tail -n 3 data/postgresql.conf');
  await stage.must('pg_ctl -D data -l log/server.log -w start');
}

function serverSettings(stage: Stage): string {
  return `listen_addresses = ''
unix_socket_directories = '${stage.path('socket')}'
shared_buffers = 32MB
archive_mode = on
archive_command = 'wal-push "%p"'
restore_command = 'wal-fetch "%f" "%p"'
`;
}

/** Fills the tables, takes a base backup meanwhile, and tells what is there in the end. */
export async function workAndBackUp(stage: Stage, place: Place): Promise<Before> {
  chapter('Work, and a base backup while it goes on');
  const session = await Session.open(stage);
  say(`This is PostgreSQL ${await session.value('show server_version')}.`);
  await session.show(SQL.accounts);
  await session.show(SQL.payments);
  await pay(session, 20);
  await takeBaseBackup(session, stage, () => pay(session, 20));
  await pay(session, 120);
  const segment = await archiveCurrentSegment(session);
  const systemId = await session.value('select system_identifier from pg_control_system()');
  await place.list(stage);
  const failed = await session.value('select failed_count from pg_stat_archiver');
  const archived = await session.value('select archived_count from pg_stat_archiver');
  check(failed === '0', `archived ${archived} files, and no attempt failed`, `${failed} attempts failed`);
  const checksum = await session.value(CHECKSUM);
  const moment = await session.value('select clock_timestamp()::text');
  say(`${moment}: ${checksum}`);
  await session.close();
  return { systemId, checksum, moment, segment };
}

/** Payments come in transactions of their own, as they do in life. */
async function pay(session: Session, batches: number): Promise<void> {
  for (let batch = 1; batch <= batches; batch += 1) {
    await session.rows(SQL.batch);
    progress(`... ${batch * PAYMENTS_PER_BATCH} of ${batches * PAYMENTS_PER_BATCH} payments`);
  }
  progressEnds();
  say(`... ${batches * PAYMENTS_PER_BATCH} payments in ${batches} transactions`);
}
