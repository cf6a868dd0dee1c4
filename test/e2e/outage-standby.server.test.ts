import { readFileSync } from 'node:fs';

import { beforeAll, describe, expect, test } from 'vitest';

import { copyArchive, Host, makeSite, type HostOptions, type Site } from '../harness/archiving.ts';
import { Removable } from '../harness/interference.ts';
import {
  addRows,
  createLedger,
  fillSegments,
  logged,
  startCopy,
  summary,
  takeBackup,
  untilAllArchived,
  untilLogged,
  untilOpen,
  untilStopped,
  type Summary,
} from '../harness/ledger.ts';
import { startPostgres, type PostgresServer, type Settings } from '../harness/postgres.ts';
import { waitFor } from '../harness/wait.ts';

/** Long enough that the standby sleeps when it has just asked. */
const SOON = { wal_retrieve_retry_interval: '1s' };

describe('a streaming standby', () => {
  test('lives through an outage of the archive, streams on, and can be promoted in it', async () => {
    await using pair = await startPair();
    const { primary, standby, archive } = pair;
    const all = await outlastOutage(pair);

    await standby.query('SELECT pg_promote(wait => false)');
    await untilOpen(standby);
    expect(archive.isAway).toBe(true);
    expect(await summary(standby)).toEqual(all);
    expect(logged(standby, 'child process exited')).toBe(false);
    await primary.stop('immediate');
    archive.bringBack();
    await fillSegments(standby, 1);
    await untilAllArchived(standby);
  });

  test('without its primary it is promoted over an outage with all that it has, where the settings prefer that', async () => {
    await using pair = await startPair({ fetch: { on_promote: 'promote' } });
    const { primary, standby, archive } = pair;
    const all = await outlastOutage(pair);
    await lose(primary, standby);

    await standby.query('SELECT pg_promote(wait => false)');
    await untilOpen(standby);
    expect(archive.isAway).toBe(true);
    expect(await summary(standby)).toEqual(all);
  });

  test('without its primary and the archive it never opens with less than it had, and says what keeps it', async () => {
    await using pair = await startPair();
    const { primary, standby, host } = pair;
    const all = await outlastOutage(pair);
    await lose(primary, standby);

    await standby.query('SELECT pg_promote(wait => false)').catch(() => undefined);
    await untilStopped(standby);
    expect(standby.log()).toContain('child process exited with exit code 202');
    expect(standby.log()).not.toContain('archive recovery complete');
    expect(standby.log()).toMatch(/wal-fetch: hint: .*being promoted.*on_promote = "promote"/);

    host.configure({ fetch: { on_promote: 'promote' } });
    await standby.start({ settings: standbySettings(host, primary), env: host.env });
    await standby.query('SELECT pg_promote(wait => false)');
    await untilOpen(standby);
    expect(await summary(standby)).toEqual(all);
  });
});

describe('a standby that lives from the archive alone', () => {
  let site: Site;
  let backup: string;
  let all: Summary;
  beforeAll(async () => {
    site = makeSite();
    const host = await Host.make(site);
    await using primary = await startPostgres({
      version: 18,
      walSegmentSizeMb: 1,
      settings: host.archiving,
      env: host.env,
    });
    await createLedger(primary);
    backup = await takeBackup(primary);
    await fillSegments(primary, 3);
    all = await summary(primary);
    await untilAllArchived(primary);
  });

  test('stays up in an outage, refuses to be promoted over it, and is promoted with everything afterwards', async () => {
    const archive = new Removable(copyArchive(site.archives[0]));
    const host = await Host.make(site, { archives: [{ url: archive.path }] });
    const settings = { ...host.archiving, ...SOON, restore_command: host.restoreCommand };
    await using standby = await startCopy(backup, { signal: 'standby', settings, env: host.env });
    await untilOutage(standby, archive);
    await standby.query('SELECT pg_promote(wait => false)').catch(() => undefined);
    await untilStopped(standby);
    expect(standby.log()).toContain('child process exited with exit code 202');
    expect(standby.log()).not.toContain('archive recovery complete');
    expect(standby.log()).toMatch(/wal-fetch: hint: .*being promoted.*on_promote = "promote"/);

    archive.bringBack();
    await standby.start({ settings, env: host.env });
    await waitFor('the standby to have everything', async () => (await summary(standby)).rows === all.rows);
    await standby.query('SELECT pg_promote(wait => false)');
    await untilOpen(standby);
    expect(await summary(standby)).toEqual(all);
    await untilAllArchived(standby);
  });

  test('is promoted over an outage where the settings prefer that', async () => {
    const archive = new Removable(copyArchive(site.archives[0]));
    const host = await Host.make(site, { archives: [{ url: archive.path }], fetch: { on_promote: 'promote' } });
    const settings = { ...host.archiving, ...SOON, restore_command: host.restoreCommand };
    await using standby = await startCopy(backup, { signal: 'standby', settings, env: host.env });
    await untilOutage(standby, archive);
    await standby.query('SELECT pg_promote(wait => false)');
    await untilOpen(standby);
    expect(archive.isAway).toBe(true);
    archive.bringBack();
    await fillSegments(standby, 1);
    await untilAllArchived(standby);
  });

  test('lives through bad settings as well', async () => {
    const host = await Host.make(site);
    const settings = { ...SOON, restore_command: host.restoreCommand };
    await using standby = await startCopy(backup, { signal: 'standby', settings, env: host.env });
    const from = standby.log().length;
    host.configure({ fetch: { on_gapp: 'stop' } });
    await untilLogged(standby, /wal-fetch: .*on_gapp/, from);
    host.configure({});
    await waitFor(
      'the standby to have everything',
      async () => (await summary(standby).catch(() => undefined))?.rows === all.rows,
    );
    expect(standby.log()).not.toContain('child process exited');
  });
});

interface Pair extends AsyncDisposable {
  readonly host: Host;
  readonly archive: Removable;
  readonly primary: PostgresServer;
  readonly standby: PostgresServer;
}

/** A primary, and a standby that streams from it and shares its archive. */
async function startPair(options: HostOptions = {}): Promise<Pair> {
  const site = makeSite();
  const host = await Host.make(site, options);
  const primary = await startPostgres({ version: 18, walSegmentSizeMb: 1, settings: host.archiving, env: host.env });
  await createLedger(primary);
  const backup = await takeBackup(primary);
  await fillSegments(primary, 2);
  await untilAllArchived(primary);
  const standby = await startCopy(backup, {
    signal: 'standby',
    settings: standbySettings(host, primary),
    env: host.env,
  });
  await untilStreaming(standby);
  return {
    host,
    archive: new Removable(site.archives[0]),
    primary,
    standby,
    async [Symbol.asyncDispose]() {
      await standby.remove();
      await primary.remove();
    },
  };
}

function standbySettings(host: Host, primary: PostgresServer): Settings {
  const conninfo = `host=${primary.socketDirectory} port=${primary.port} user=postgres`;
  return { ...host.archiving, ...SOON, restore_command: host.restoreCommand, primary_conninfo: conninfo };
}

/** The archive goes away, the stream breaks, the standby asks in vain and streams again. Returns what both hold then. */
async function outlastOutage({ primary, standby, archive }: Pair): Promise<Summary> {
  archive.remove();
  const from = standby.log().length;
  await primary.query('SELECT pg_terminate_backend(pid) FROM pg_stat_replication');
  await untilLogged(standby, /wal-fetch: archive file:.*there is no directory/, from);
  await addRows(primary, 500);
  await untilStreaming(standby);
  const all = await summary(primary);
  await waitFor('the standby to have all rows', async () => (await summary(standby)).rows === all.rows);
  return all;
}

/** The primary dies, and the standby has asked everywhere for more. */
async function lose(primary: PostgresServer, standby: PostgresServer): Promise<void> {
  const from = standby.log().length;
  await primary.stop('immediate');
  await untilLogged(standby, /wal-fetch: archive file:.*there is no directory/, from);
  await untilAsleep(standby);
}

/** Takes the archive away from a standby, which asks and goes on. */
async function untilOutage(standby: PostgresServer, archive: Removable): Promise<void> {
  await standby.query('SELECT 1');
  const from = standby.log().length;
  archive.remove();
  await untilLogged(standby, /wal-fetch: archive file:.*there is no directory/, from);
  await untilAsleep(standby);
}

async function untilStreaming(standby: PostgresServer): Promise<void> {
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
async function untilAsleep(standby: PostgresServer): Promise<void> {
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
