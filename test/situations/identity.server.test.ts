import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect } from 'vitest';

import { contents, Host, makeSite, objectKeys } from '../harness/archiving.ts';
import {
  archiverStatistics,
  addRows,
  createLedger,
  fillSegments,
  startCopy,
  startStandby,
  summary,
  takeBackup,
  untilAllArchived,
  untilOpen,
  untilReplayed,
  untilStopped,
} from '../harness/ledger.ts';
import { TracedRestore } from '../harness/interference.ts';
import { startPostgres, type PostgresServer } from '../harness/postgres.ts';
import { situation } from '../harness/situations.ts';
import type { Version } from '../harness/server-user.ts';

const MIB = 1024 * 1024;

describe('Identity', () => {
  situation('a fresh initdb archives into the archive of another cluster: two trees, nothing mixed', freshInitdb);
  situation(
    'a last segment is archived both whole and as .partial, and no recovery asks for the latter',
    wholeAndPartial,
  );
  situation('a cluster that is on timeline 3 before walseal comes', olderThanWalseal);
});

async function freshInitdb(version: Version): Promise<void> {
  const site = makeSite();
  const host = await Host.make(site);
  const [archive] = site.archives;
  const { archiving, restoring, env } = host;
  const live = async (): Promise<{ backup: string; all: unknown; segments: string[] }> => {
    await using server = await startPostgres({ version, walSegmentSizeMb: 1, settings: archiving, env });
    await createLedger(server);
    const backup = await takeBackup(server);
    const segments = await fillSegments(server, 3);
    await untilAllArchived(server);
    expect((await archiverStatistics(server)).failed).toBe(0);
    return { backup, all: await summary(server), segments };
  };
  const first = await live();
  const before = contents(archive);
  const second = await live();
  expect(second.segments).toEqual(first.segments);
  expect(contents(archive)).toMatchObject(before);
  expect(new Set(objectKeys(archive).map((key) => key.split('/')[0])).size).toBe(2);
  for (const { backup, all } of [first, second]) {
    await using copy = await startCopy(backup, { signal: 'recovery', settings: restoring, env });
    await untilOpen(copy);
    expect(await summary(copy)).toEqual(all);
  }
}

/** A fail-over takes the last segment along as .partial, and the old primary, which still runs, fills it. */
async function wholeAndPartial(version: Version): Promise<void> {
  const site = makeSite();
  const host = await Host.make(site);
  const [archive] = site.archives;
  const { archiving, restoring, env } = host;
  await using old = await startPostgres({ version, walSegmentSizeMb: 1, settings: archiving, env });
  await createLedger(old);
  const backup = await takeBackup(old);
  await using heir = await startStandby(old, { settings: restoring, env });
  await addRows(old, 10);
  // Has the rows written out, in the middle of a segment.
  await old.query('CHECKPOINT');
  await untilReplayed(heir, old);
  await heir.query('SELECT pg_promote()');
  await untilOpen(heir);
  await fillSegments(heir, 2);
  await fillSegments(old, 1);
  for (const server of [old, heir]) await untilAllArchived(server);
  expect(old.log() + heir.log()).not.toMatch(/wal-push: /);
  const names = objectKeys(archive).map((key) => basename(key));
  const [partial = ''] = names.filter((name) => name.endsWith('.partial'));
  const whole = partial.slice(0, -'.partial'.length);
  expect(names).toContain(whole);
  const fetched = await Promise.all(
    [whole, partial].map(async (name) => {
      const path = join(old.dataDirectory, `fetched ${name}`);
      expect((await host.run('wal-fetch', [name, path], old.dataDirectory)).status).toBe(0);
      return readFileSync(path);
    }),
  );
  expect(fetched.map(({ length }) => length)).toEqual([MIB, MIB]);
  expect(fetched[0]?.equals(fetched[1] ?? Buffer.of())).toBe(false);

  const all = await summary(heir);
  const traced = new TracedRestore(host.restoreCommand);
  const settings = { restore_command: traced.command };
  await using copy = await startCopy(backup, { signal: 'recovery', settings, env });
  await untilOpen(copy);
  expect(await summary(copy)).toEqual(all);
  const asked = traced.requests().map(({ name }) => name);
  expect(asked.filter((name) => /\.(partial|backup)$/.test(name))).toEqual([]);
}

async function olderThanWalseal(version: Version): Promise<void> {
  await using server = await startPostgres({ version, walSegmentSizeMb: 1 });
  await createLedger(server);
  for (const timeline of [2, 3]) {
    await startNextTimeline(server);
    expect(await timelineOf(server)).toBe(timeline);
  }
  const site = makeSite();
  const host = await Host.make(site);
  const { archiving, restoring, env } = host;
  await server.restart('fast', { settings: archiving, env });
  const backup = await takeBackup(server);
  await fillSegments(server, 2);
  const all = await summary(server);
  await untilAllArchived(server);
  expect((await archiverStatistics(server)).failed, server.log()).toBe(0);
  expect(objectKeys(site.archives[0]).filter((key) => key.endsWith('.history'))).toEqual([]);

  // The backup brings no history file, and the archive has none: a gap, until it is pushed by hand.
  const options = { settings: restoring, env };
  await using copy = await startCopy(backup, { ...options, signal: 'recovery', waitUntilReady: false });
  await untilStopped(copy);
  expect(copy.log()).toContain('00000003.history');
  expect(copy.log()).toContain('exit code 207');
  const pushed = await host.run('wal-push', ['pg_wal/00000003.history'], server.dataDirectory);
  expect(pushed).toMatchObject({ status: 0, stderr: '' });
  await copy.start(options);
  await untilOpen(copy);
  expect(await summary(copy)).toEqual(all);
  expect(await timelineOf(copy)).toBe(4);
}

/** As a fail-over does it, without an archive. */
async function startNextTimeline(server: PostgresServer): Promise<void> {
  await fillSegments(server, 1);
  await server.restart('fast', { signal: 'recovery', settings: { restore_command: 'false' } });
  await untilOpen(server);
}

async function timelineOf(server: PostgresServer): Promise<number> {
  const [row] = await server.query(
    "SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int AS n",
  );
  return Number(row?.['n']);
}
