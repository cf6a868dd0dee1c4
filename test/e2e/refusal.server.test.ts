import { chmodSync, copyFileSync, existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { contents, damage, Host, makeSite, objectKeys } from '../harness/archiving.ts';
import {
  archiverStatistics,
  createLedger,
  fillSegments,
  startCopy,
  untilAllArchived,
  untilLogged,
  waiting,
} from '../harness/ledger.ts';
import { startPostgres, type PostgresServer } from '../harness/postgres.ts';
import { writeAsServer } from '../harness/server-user.ts';
import { waitFor } from '../harness/wait.ts';

const FINGERPRINT = /fingerprint ([0-9a-f]{64})/g;

test('a segment that is pushed again is taken once, and an altered one is refused with both sides named', async () => {
  const site = makeSite();
  const host = await Host.make(site);
  await using server = await startPostgres({
    version: 18,
    walSegmentSizeMb: 1,
    settings: host.archiving,
    env: host.env,
  });
  await createLedger(server);
  const [segment = ''] = await fillSegments(server, 1);
  await untilAllArchived(server);
  const before = contents(site.archives[0]);

  const again = await host.run('wal-push', [`pg_wal/${segment}`], server.dataDirectory);
  expect(again).toMatchObject({ status: 0, stdout: '', stderr: '' });
  const elsewhere = join(server.dataDirectory, segment);
  copyFileSync(join(server.dataDirectory, 'pg_wal', segment), elsewhere);
  expect((await host.run('wal-push', [elsewhere], server.dataDirectory)).status).toBe(0);

  damage(elsewhere);
  const altered = await host.run('wal-push', [elsewhere], server.dataDirectory);
  expect(altered.status).toBe(73);
  const [there, here, ...more] = [...altered.stderr.matchAll(FINGERPRINT)].map(([, digits]) => digits);
  expect(there).toBeDefined();
  expect(here).toBeDefined();
  expect(here).not.toBe(there);
  expect(more).toEqual([]);
  expect(altered.stderr).toContain(segment);
  expect(altered.stderr).toContain('walseal set-aside');
  expect(contents(site.archives[0])).toEqual(before);
});

test('a copy of the cluster that archives to the same place is refused, says so in its log, and set-aside is the way out', async () => {
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
  await server.stop();
  const settings = { ...host.archiving, archive_command: host.archiveCommand };
  await using clone = await startCopy(server.dataDirectory, {
    settings: { archive_mode: 'on', archive_command: 'false' },
    env: host.env,
  });
  await server.start();
  const [segment = ''] = await fillSegments(server, 1);
  await untilAllArchived(server);
  const production = contents(site.archives[0]);

  clone.reload(settings);
  const names = await fillSegments(clone, 2);
  expect(names).toContain(segment);
  await untilLogged(clone, 'archive command failed with exit code 73');
  expect(clone.log()).toContain(`holds a different file named ${segment}`);
  expect(clone.log()).toMatch(/a copy of this cluster/);
  expect(waiting(clone)).toContain(segment);
  expect((await archiverStatistics(clone)).failed).toBeGreaterThan(0);

  const aside = await host.run('walseal', ['set-aside', `pg_wal/${segment}`], clone.dataDirectory);
  expect(aside.status, aside.stderr).toBe(0);
  await fillSegments(clone, 1);
  await untilAllArchived(clone);
  expect(contents(site.archives[0])).toMatchObject(production);
  const [kept = '', ...others] = objectKeys(site.archives[0]).filter((key) => key.includes('/aside/'));
  expect(kept).toMatch(new RegExp(`/aside/${segment}\\.[0-9a-f]{64}$`));
  expect(others).toEqual([]);
  expect((await host.run('wal-push', [`pg_wal/${segment}`], server.dataDirectory)).status).toBe(0);
});

test('the server logs each status, counts it, keeps its archiver, and goes on when the cause is gone', async () => {
  const site = makeSite();
  const host = await Host.make(site);
  const [archive] = site.archives;
  await using server = await startPostgres({
    version: 18,
    walSegmentSizeMb: 1,
    settings: host.archiving,
    env: host.env,
  });
  await createLedger(server);
  await fillSegments(server, 1);
  await untilAllArchived(server);
  const archiver = await archiverPid(server);

  const isRoot = process.getuid?.() === 0;
  const failures: readonly (readonly [number, RegExp, () => unknown, () => unknown])[] = [
    [
      64,
      /unknown key|nearest|no such key|wal_push/i,
      () => host.configure({ top: { keep_bakups: 1 } }),
      () => host.configure({}),
    ],
    [
      69,
      /there is no directory/,
      () => renameSync(archive, `${archive}.away`),
      () => renameSync(`${archive}.away`, archive),
    ],
    [77, /EACCES|permission/i, () => chmodSync(archive, isRoot ? 0o000 : 0o500), () => chmodSync(archive, 0o700)],
  ];
  for (const [status, message, breakIt, mendIt] of failures) {
    await breaks(server, status, message, breakIt);
    mendIt();
    await fillSegments(server, 1);
    await untilAllArchived(server);
  }

  const zeros = '000000010000000000000001';
  const status = join(server.dataDirectory, 'pg_wal', 'archive_status', `${zeros}.ready`);
  expect(existsSync(join(server.dataDirectory, 'pg_wal', zeros))).toBe(false);
  await breaks(server, 65, /000000010000000000000001/, () => {
    writeAsServer(join(server.dataDirectory, 'pg_wal', zeros), Buffer.alloc(1024 * 1024));
    writeAsServer(status, '');
  });
  const aside = await host.run('walseal', ['set-aside', `pg_wal/${zeros}`], server.dataDirectory);
  expect(aside.status, aside.stderr).toBe(0);
  await fillSegments(server, 1);
  await untilAllArchived(server);
  expect(await archiverPid(server)).toBe(archiver);
});

/** A failure of every push, until it was logged and counted. */
async function breaks(server: PostgresServer, status: number, message: RegExp, breakIt: () => unknown): Promise<void> {
  const { failed } = await archiverStatistics(server);
  const from = server.log().length;
  breakIt();
  await fillSegments(server, 1);
  await untilLogged(server, `archive command failed with exit code ${status}`, from);
  expect(server.log().slice(from)).toMatch(message);
  await waitFor(
    `failures to be counted after a ${status}`,
    async () => (await archiverStatistics(server)).failed > failed,
  );
}

async function archiverPid(server: PostgresServer): Promise<unknown> {
  const [row] = await server.query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'archiver'");
  return row?.['pid'];
}
