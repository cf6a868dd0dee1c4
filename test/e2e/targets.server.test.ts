import { renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';

import { copyArchive, Host, makeSite, objectKeys, type Site } from '../harness/archiving.ts';
import {
  addRows,
  archiverStatistics,
  createLedger,
  fillSegments,
  startCopy,
  summary,
  switchSegment,
  takeBackup,
  untilAllArchived,
  untilOpen,
  untilStopped,
  type Summary,
} from '../harness/ledger.ts';
import { startPostgres, type Settings } from '../harness/postgres.ts';

/** What the database held at the moment that is the target of all recoveries here, and at the end. */
interface Past {
  readonly site: Site;
  readonly backup: string;
  readonly targets: Readonly<Record<string, Settings>>;
  readonly then: Summary;
  readonly atTheEnd: Summary;
}

let past: Past;
beforeAll(async () => {
  const site = makeSite();
  const host = await Host.make(site);
  await using server = await startPostgres({
    version: 18,
    walSegmentSizeMb: 1,
    settings: host.archiving,
    env: host.env,
  });
  await createLedger(server);
  await fillSegments(server, 1);
  const backup = await takeBackup(server);
  await fillSegments(server, 2);
  const client = await server.client();
  const { rows: transactions } = await client.query<{ xid: string }>(
    "INSERT INTO ledger (entry) VALUES ('the last that is wanted') RETURNING pg_current_xact_id()::text AS xid",
  );
  const { rows } = await client.query<{ lsn: string; time: string }>(
    "SELECT pg_create_restore_point('before the mistake')::text AS lsn, clock_timestamp()::text AS time",
  );
  const [transaction] = transactions;
  const [point] = rows;
  if (transaction === undefined || point === undefined) throw new Error('no target was made');
  const then = await summary(server);
  await client.query("INSERT INTO ledger (entry) VALUES ('the first that is not wanted')");
  await fillSegments(server, 2);
  await addRows(server, 1);
  const atTheEnd = await summary(server);
  await switchSegment(server);
  await untilAllArchived(server);
  const targets = {
    name: { recovery_target_name: 'before the mistake' },
    time: { recovery_target_time: point.time },
    lsn: { recovery_target_lsn: point.lsn },
    xid: { recovery_target_xid: transaction.xid },
  };
  past = { site, backup, targets, then, atTheEnd };
});

test.each(['name', 'time', 'lsn', 'xid'])(
  'recovery to a target (%s) ends exactly there, and its new timeline can be recovered in turn',
  async (kind) => {
    const archive = copyArchive(past.site.archives[0]);
    const host = await Host.make(past.site, { archives: [{ url: archive }] });
    const settings = { ...host.restoring, ...past.targets[kind] };
    await using server = await startCopy(past.backup, { signal: 'recovery', settings, env: host.env });
    await untilOpen(server);
    expect(await summary(server)).toEqual(past.then);

    await fillSegments(server, 2);
    const onTheNewTimeline = await summary(server);
    await switchSegment(server);
    await untilAllArchived(server);
    expect((await archiverStatistics(server)).failed).toBe(0);
    expect(objectKeys(archive)).toContainEqual(expect.stringMatching(/\/wal\/00000002\.history$/));
    await server.stop();

    await using second = await startCopy(past.backup, { signal: 'recovery', settings: host.restoring, env: host.env });
    await untilOpen(second);
    expect(await summary(second)).toEqual(onTheNewTimeline);
    await untilAllArchived(second);
    expect(objectKeys(archive)).toContainEqual(expect.stringMatching(/\/wal\/00000003\.history$/));
  },
);

test('the abandoned end of the first timeline stays within reach', async () => {
  const archive = copyArchive(past.site.archives[0]);
  const host = await Host.make(past.site, { archives: [{ url: archive }] });
  const early = { ...host.restoring, ...past.targets['name'] };
  await using server = await startCopy(past.backup, { signal: 'recovery', settings: early, env: host.env });
  await untilOpen(server);
  await fillSegments(server, 1);
  await untilAllArchived(server);

  const settings = { ...host.restoring, recovery_target_timeline: '1' };
  await using other = await startCopy(past.backup, { signal: 'recovery', settings, env: host.env });
  await untilOpen(other);
  expect(await summary(other)).toEqual(past.atTheEnd);
  await untilAllArchived(other);
  expect(objectKeys(archive)).toContainEqual(expect.stringMatching(/\/wal\/00000003\.history$/));
});

test('where the first segment of a timeline is missing, its abandoned parent is not replayed in its place', async () => {
  const archive = copyArchive(past.site.archives[0]);
  const host = await Host.make(past.site, { archives: [{ url: archive }] });
  const early = { ...host.restoring, ...past.targets['name'] };
  const onTheNewTimeline = await (async (): Promise<Summary> => {
    await using server = await startCopy(past.backup, { signal: 'recovery', settings: early, env: host.env });
    await untilOpen(server);
    await fillSegments(server, 3);
    await untilAllArchived(server);
    return await summary(server);
  })();
  const [first = ''] = objectKeys(archive).filter((key) => /\/00000002[0-9A-F]{16}$/.test(key));
  const missing = join(archive, first);
  renameSync(missing, `${archive}.missing`);

  const options = { settings: host.restoring, env: host.env };
  await using server = await startCopy(past.backup, { ...options, signal: 'recovery', waitUntilReady: false });
  await untilStopped(server);
  expect(server.log()).toContain('child process exited with exit code 207');
  expect(server.log()).toContain(`${basename(first)} is in no archive`);
  renameSync(`${archive}.missing`, missing);
  await server.start(options);
  await untilOpen(server);
  expect(await summary(server)).toEqual(onTheNewTimeline);
});

test('where the end of the parent timeline is missing, recovery does not stop short of the fork', async () => {
  const archive = copyArchive(past.site.archives[0]);
  const host = await Host.make(past.site, { archives: [{ url: archive }] });
  const early = { ...host.restoring, ...past.targets['name'] };
  await using forked = await startCopy(past.backup, { signal: 'recovery', settings: early, env: host.env });
  await untilOpen(forked);
  await fillSegments(forked, 2);
  await untilAllArchived(forked);

  // As after a fail-over: what the old primary wrote last was never archived.
  const position = (key: string): string => basename(key).slice(8);
  const segments = objectKeys(archive).filter((key) => /\/wal\/.*\/[0-9A-F]{24}$/.test(key));
  const fork =
    segments
      .filter((key) => basename(key).startsWith('00000002'))
      .map(position)
      .sort()[0] ?? '';
  const before = segments.filter((key) => basename(key).startsWith('00000001') && position(key) < fork).sort();
  const lost = segments.filter((key) => basename(key).startsWith('00000001') && position(key) >= fork);
  for (const key of [...lost, before.at(-1) ?? '']) rmSync(join(archive, key));

  const options = { settings: host.restoring, env: host.env };
  await using server = await startCopy(past.backup, { ...options, signal: 'recovery', waitUntilReady: false });
  await untilStopped(server);
  expect(server.log()).toContain('child process exited with exit code 207');
  expect(server.log()).toContain('pg_wal/00000002.history says that timeline 1 went on to');
  expect(server.log()).not.toContain('archive recovery complete');
});
