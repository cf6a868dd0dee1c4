import { copyFileSync, existsSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';

import { generateSigningKey } from '../../src/seal/keys.ts';
import {
  copyArchive,
  damage,
  Host,
  makeDirectory,
  makeSite,
  objectKeys,
  objectPath,
  type HostOptions,
  type Site,
} from '../harness/archiving.ts';
import {
  createLedger,
  fillSegments,
  startCopy,
  summary,
  takeBackup,
  untilAllArchived,
  untilOpen,
  untilStopped,
  type Summary,
} from '../harness/ledger.ts';
import { startPostgres, type PostgresServer } from '../harness/postgres.ts';
import { makeScratch } from '../harness/scratch.ts';
import { serverUser, writeAsServer } from '../harness/server-user.ts';

let site: Site;
let backup: string;
let middle: string;
let all: Summary;
/** Where the primary's data directory is left, with all its WAL. */
let source: PostgresServer;

beforeAll(async () => {
  site = makeSite();
  const host = await Host.make(site);
  source = await startPostgres({
    version: 18,
    walSegmentSizeMb: 1,
    settings: { ...host.archiving, wal_keep_size: '64MB' },
    env: host.env,
  });
  await createLedger(source);
  backup = await takeBackup(source);
  const segments = await fillSegments(source, 5);
  middle = segments[2] ?? '';
  all = await summary(source);
  await untilAllArchived(source);
  await source.stop();
});

/** A recovery that does not open, and leaves no half-fetched file. */
async function stops(options: HostOptions, status: number): Promise<PostgresServer> {
  const host = await Host.make(site, options);
  const server = await startCopy(backup, {
    signal: 'recovery',
    settings: host.restoring,
    env: host.env,
    waitUntilReady: false,
  });
  await untilStopped(server);
  expect(server.log()).toContain(`child process exited with exit code ${status}`);
  expect(server.log()).not.toContain('archive recovery complete');
  expect(existsSync(join(server.dataDirectory, 'recovery.signal'))).toBe(true);
  expect(readdirSync(join(server.dataDirectory, 'pg_wal')).filter((name) => name.startsWith('xlogtemp'))).toEqual([]);
  return server;
}

async function opens(options: HostOptions): Promise<{ log: string; held: Summary }> {
  const host = await Host.make(site, options);
  await using server = await startCopy(backup, { signal: 'recovery', settings: host.restoring, env: host.env });
  await untilOpen(server);
  return { log: server.log(), held: await summary(server) };
}

test('a wrong prefix does not open an empty history', async () => {
  const wrong = makeDirectory(join(makeScratch('wrong', serverUser()), 'prefix'));
  await using server = await stops({ archives: [{ url: wrong }] }, 201);
  expect(server.log()).toMatch(/holds nothing of system \d+/);
  expect(server.log()).toContain('A wrong URL or prefix');
});

test('a wrong prefix beside the right archive stops the recovery as well', async () => {
  const wrong = makeDirectory(join(makeScratch('wrong', serverUser()), 'prefix'));
  const archives = [{ url: copyArchive(site.archives[0]) }, { url: wrong }];
  await using server = await stops({ archives }, 201);
  expect(server.log()).toContain(wrong);
});

test('a gap stops the recovery, and on_gap = "end" opens before it', async () => {
  const archive = copyArchive(site.archives[0]);
  rmSync(objectPath(archive, middle) ?? '');
  await using server = await stops({ archives: [{ url: archive }] }, 207);
  expect(server.log()).toContain(`${middle} is in no archive`);

  const { held, log } = await opens({ archives: [{ url: archive }], fetch: { on_gap: 'end' } });
  expect(held.rows).toBeGreaterThan(0);
  expect(held.rows).toBeLessThan(all.rows);
  expect(log).toContain('on_gap = "end" accepts the loss');
});

test('the real file in pg_wal closes a gap; an old segment under its name does not', async () => {
  const archive = copyArchive(site.archives[0]);
  rmSync(objectPath(archive, middle) ?? '');
  const original = join(source.dataDirectory, 'pg_wal', middle);
  const host = await Host.make(site, { archives: [{ url: archive }] });
  const recovering = { settings: host.restoring, env: host.env } as const;

  await using whole = await startCopy(backup, { ...recovering, inPgWal: { [middle]: original }, signal: 'recovery' });
  await untilOpen(whole);
  expect(await summary(whole)).toEqual(all);
  expect(whole.log()).toContain('the server has the file in pg_wal');

  const older = readdirSync(join(source.dataDirectory, 'pg_wal')).find(
    (name) => /^[0-9A-F]{24}$/.test(name) && name < middle,
  );
  const recycled = join(source.dataDirectory, 'pg_wal', older ?? '');
  await using stale = await startCopy(backup, {
    ...recovering,
    inPgWal: { [middle]: recycled },
    signal: 'recovery',
    waitUntilReady: false,
  });
  await untilStopped(stale);
  expect(stale.log()).toContain(`pg_wal/${middle} is not that file`);
  expect(stale.log()).not.toContain('archive recovery complete');
});

test('a corrupt object stops the recovery; a second archive serves it, with a warning', async () => {
  const archive = copyArchive(site.archives[0]);
  damage(objectPath(archive, middle) ?? '');
  await using server = await stops({ archives: [{ url: archive }] }, 204);
  expect(server.log()).toMatch(new RegExp(`wal-fetch: archive file://${archive}: .*${middle}`));

  const second = copyArchive(site.archives[0]);
  const { held, log } = await opens({ archives: [{ url: archive }, { url: second }] });
  expect(held).toEqual(all);
  expect(log).toContain(`taken from archive file://${second}`);
});

test('an object under the wrong name is refused', async () => {
  const archive = copyArchive(site.archives[0]);
  const [other = ''] = objectKeys(archive).filter((key) => /\/[0-9A-F]{24}$/.test(key) && !key.endsWith(middle));
  copyFileSync(join(archive, other), objectPath(archive, middle) ?? '');
  await using server = await stops({ archives: [{ url: archive }] }, 204);
  expect(server.log()).toContain(middle);
});

test('an object that a stranger sealed for us is refused, and taken where that key is trusted', async () => {
  const { privatePem, publicPem } = generateSigningKey();
  const keys = makeScratch('stranger', serverUser());
  writeAsServer(join(keys, 'key.pem'), privatePem);
  writeAsServer(join(keys, 'public.pem'), publicPem);
  const strange = makeDirectory(join(keys, 'archive'));
  const stranger = await Host.make(site, {
    archives: [{ url: strange }],
    signing: { key_file: join(keys, 'key.pem') },
  });
  const pushed = await stranger.run('wal-push', [`pg_wal/${middle}`], source.dataDirectory);
  expect(pushed.status, pushed.stderr).toBe(0);

  const archive = copyArchive(site.archives[0]);
  renameSync(objectPath(strange, middle) ?? '', objectPath(archive, middle) ?? '');
  await using server = await stops({ archives: [{ url: archive }] }, 204);
  expect(server.log()).toMatch(/wal-fetch: .*(signed|trusted)/);

  const signing = { key_file: site.signingKeyFile, trusted: [join(keys, 'public.pem')] };
  expect((await opens({ archives: [{ url: archive }], signing })).held).toEqual(all);
});
