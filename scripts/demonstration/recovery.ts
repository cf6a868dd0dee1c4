import { existsSync } from 'node:fs';

import { archiveCurrentSegment, RECOVERY_LOG, Session, untilArchived, writeOwned } from './server.ts';
import { eventually, type Stage } from './stage.ts';
import { chapter, check, say } from './tell.ts';
import { CHECKSUM, type Before } from './work.ts';

const TABLES =
  "select coalesce(string_agg(tablename, ', ' order by tablename), 'none') from pg_tables where schemaname = 'public'";

/** Drops a table, works on, and destroys the server with all that it has. */
export async function loseEverything(stage: Stage): Promise<void> {
  chapter('A mistake, and then a disaster');
  const session = await Session.open(stage);
  await session.show('drop table payments');
  await session.show("insert into accounts values (0, 'nobody noticed yet')");
  const segment = await archiveCurrentSegment(session);
  check((await session.value(TABLES)) === 'accounts', 'payments are gone');
  say(`The archive goes up to ${segment}, past the mistake. Now the server dies, and its disk with it.`);
  await session.close();
  await stage.must('kill -KILL "$(head -n 1 data/postmaster.pid)"');
  await stage.allGone();
  await stage.must('rm -rf data socket/.s.PGSQL.5432*');
  check(!existsSync(stage.path('data')), 'all that is left: the base backup, the archive, the keys and settings');
}

/** Brings the database back to the moment before the drop, and compares. */
export async function recover(before: Before, stage: Stage): Promise<void> {
  chapter('Recovery to the moment before the mistake');
  await stage.must('cp -R backup data');
  writeOwned(stage, 'aux/target.conf', targetSettings(before));
  await stage.quietly('cat aux/target.conf >> data/postgresql.conf');
  await stage.must('tail -n 3 data/postgresql.conf');
  await stage.must('touch data/recovery.signal');
  await stage.must(`pg_ctl -D data -l ${RECOVERY_LOG} -w start`);
  const session = await Session.open(stage);
  await eventually('recovery has ended', async () => (await session.value('select pg_is_in_recovery()')) === 'false');
  await stage.must(`grep -c 'restored log file' ${RECOVERY_LOG}`);
  await stage.must(`grep -E 'recovery stopping|last completed|selected new|recovery complete' ${RECOVERY_LOG}`);

  const found = await session.value(CHECKSUM);
  check(found === before.checksum, `the table is back: ${found}`, `expected ${before.checksum}, found ${found}`);
  const tables = await session.value(TABLES);
  check(tables === 'accounts, payments', 'nothing of what came after is there', `there are ${tables}`);
  const noticed = await session.value('select count(*) from accounts where id = 0');
  check(noticed === '0', 'the row that was added after the mistake is not');

  await session.show("insert into accounts values (0, 'life goes on')");
  const segment = await archiveCurrentSegment(session);
  await untilArchived(session, '00000002.history');
  check(segment.startsWith('00000002'), `archiving goes on, on timeline 2: 00000002.history and ${segment} are stored`);
  await session.close();
}

function targetSettings({ moment }: Before): string {
  return `restore_command = 'wal-fetch "%f" "%p"'
recovery_target_time = '${moment}'
recovery_target_action = 'promote'
`;
}
