import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';

import { objectPath } from '../harness/archiving.ts';
import { TracedRestore } from '../harness/interference.ts';
import {
  fillSegments,
  logged,
  startCopy,
  summary,
  untilAllArchived,
  untilLogged,
  untilOpen,
  untilStopped,
  waiting,
  type Summary,
} from '../harness/ledger.ts';
import type { PostgresServer, Settings } from '../harness/postgres.ts';
import { situation } from '../harness/situations.ts';
import { writeAsServer } from '../harness/server-user.ts';
import {
  AWAY,
  following,
  lose,
  OFTEN,
  outlastOutage,
  SELDOM,
  startPair,
  startPrimary,
  times,
  untilAsleep,
  untilHolds,
  untilStreaming,
  type Primary,
} from '../harness/standbys.ts';
import { waitFor } from '../harness/wait.ts';

/** As often as it would ask in some minutes. */
const MANY_ROUNDS = 30;

describe('Standbys: one that streams, and an outage of the archive', () => {
  situation('it lives through the outage, streams on, and can be promoted in it', async (version) => {
    await using pair = await startPair(version);
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

  situation('it stays, however often it asks in vain, while its primary restarts', async (version) => {
    await using pair = await startPair(version);
    const { primary, standby, archive, host } = pair;
    standby.reload({ ...following(host, primary), ...OFTEN });
    archive.remove();
    const from = standby.log().length;
    await primary.stop('immediate');
    await waitFor('many rounds', () => times(standby, AWAY, from) > MANY_ROUNDS);
    expect((await standby.query('SELECT pg_is_in_recovery() AS yes'))[0]?.['yes']).toBe(true);
    await primary.start();
    standby.reload({ ...following(host, primary), ...OFTEN });
    await untilStreaming(standby);
    archive.bringBack();
    await fillSegments(primary, 2);
    await untilHolds(standby, await summary(primary));
    expect(logged(standby, 'child process exited')).toBe(false);
  });

  situation(
    'without its primary it is promoted with all that it has, where on_promote = "promote"',
    async (version) => {
      await using pair = await startPair(version, { fetch: { on_promote: 'promote' } });
      const { primary, standby, archive } = pair;
      const all = await outlastOutage(pair);
      await lose(primary, standby);

      await standby.query('SELECT pg_promote(wait => false)');
      await untilOpen(standby);
      expect(archive.isAway).toBe(true);
      expect(await summary(standby)).toEqual(all);
    },
  );

  situation(
    'without its primary it stops rather than open with less than it had, and says what keeps it',
    async (version) => {
      await using pair = await startPair(version);
      const { primary, standby, host } = pair;
      const all = await outlastOutage(pair);
      await lose(primary, standby);

      await standby.query('SELECT pg_promote(wait => false)').catch(() => undefined);
      await expectPromotionStopped(standby);

      host.configure({ fetch: { on_promote: 'promote' } });
      await standby.start({ settings: { ...SELDOM, ...following(host, primary) }, env: host.env });
      await standby.query('SELECT pg_promote(wait => false)');
      await untilOpen(standby);
      expect(await summary(standby)).toEqual(all);
    },
  );

  situation(
    'a command that ends above 125 stops it at a break of the stream, and turns a promotion into an end',
    async (version) => {
      await using pair = await startPair(version);
      const { primary, standby, archive, host } = pair;
      const command = `[ -d ${archive.path} ] || exit 202; exit 1`;
      const settings = { ...SELDOM, ...following(host, primary), restore_command: command };
      await reconfigure(standby, settings);
      await untilStreaming(standby);
      archive.remove();
      await primary.query('SELECT pg_terminate_backend(pid) FROM pg_stat_replication');
      await untilStopped(standby);
      expect(standby.log()).toMatch(/could not restore file.*exit code 202/);

      archive.bringBack();
      await standby.start({ settings });
      await untilStreaming(standby);
      archive.remove();
      await standby.query('SELECT pg_promote(wait => false)').catch(() => undefined);
      await untilStopped(standby);
      expect(standby.log()).not.toContain('archive recovery complete');
    },
  );

  situation('while its command waits, it does not stream', async (version) => {
    await using pair = await startPair(version);
    const { primary, standby, host } = pair;
    const asked = join(standby.dataDirectory, 'asked');
    const hold = join(standby.dataDirectory, 'hold');
    const command = '[ -e hold ] && touch asked; while [ -e hold ]; do sleep 0.05; done; exit 1';
    await reconfigure(standby, { ...OFTEN, ...following(host, primary), restore_command: command });
    await untilStreaming(standby);
    writeAsServer(hold, '');
    await primary.query('SELECT pg_terminate_backend(pid) FROM pg_stat_replication');
    await waitFor('the command to wait', () => existsSync(asked));
    await fillSegments(primary, 2);
    expect(await standby.query('SELECT * FROM pg_stat_wal_receiver')).toEqual([]);
    expect(await summary(standby)).not.toEqual(await summary(primary));
    rmSync(hold);
    await untilHolds(standby, await summary(primary));
  });

  situation('it has consumed `promote` when its promotion asks, and asks no more than five times', async (version) => {
    await using pair = await startPair(version);
    const { primary, standby, host } = pair;
    const traced = new TracedRestore(host.restoreCommand, { before: NOTE });
    await reconfigure(standby, { ...SELDOM, ...following(host, primary), restore_command: traced.command }, host.env);
    await untilStreaming(standby);
    const before = traced.requests().length;
    await standby.query('SELECT pg_promote()');
    await untilOpen(standby);
    const asked = traced.requests().slice(before);
    expect(asked.length).toBeGreaterThan(1);
    expect(asked.length).toBeLessThanOrEqual(5);
    expect(notes(standby).slice(before).join()).not.toContain('promote');
    expect(asked.at(-1)).toEqual({ name: '00000001.history', path: 'pg_wal/RECOVERYHISTORY', status: 1 });
  });
});

describe('Standbys: one that lives from the archive alone, and its outage', () => {
  situation(
    'it stays up, stops rather than be promoted over the outage, and is promoted with everything afterwards',
    async (version) => {
      await using made = await startPrimary(version);
      const { archive, host, primary, backup } = made;
      const all = await summary(primary);
      const settings = { ...SELDOM, ...following(host) };
      await using standby = await startCopy(backup, { signal: 'standby', settings, env: host.env });
      await untilHolds(standby, all);
      const later = await fallBehind(made);
      await untilOutage(standby);
      await standby.query('SELECT pg_promote(wait => false)').catch(() => undefined);
      await expectPromotionStopped(standby);

      archive.bringBack();
      // The archiver of a running server may wait a minute before it tries again.
      await primary.stop();
      expect(waiting(primary)).toEqual([]);
      await standby.start({ settings, env: host.env });
      await untilHolds(standby, later);
      await standby.query('SELECT pg_promote(wait => false)');
      await untilOpen(standby);
      expect(await summary(standby)).toEqual(later);
      await untilAllArchived(standby);
    },
  );

  situation('it stays, however often it asks in vain, and goes on by itself', async (version) => {
    await using made = await startPrimary(version);
    const { archive, host, primary, backup } = made;
    const settings = { ...OFTEN, ...following(host) };
    await using standby = await startCopy(backup, { signal: 'standby', settings, env: host.env });
    await untilHolds(standby, await summary(primary));
    archive.remove();
    const from = standby.log().length;
    await waitFor('many rounds', () => times(standby, AWAY, from) > MANY_ROUNDS);
    archive.bringBack();
    await fillSegments(primary, 1);
    await untilHolds(standby, await summary(primary));
    expect(logged(standby, 'child process exited')).toBe(false);
  });

  situation('it is promoted over the outage where on_promote = "promote"', async (version) => {
    await using made = await startPrimary(version, { fetch: { on_promote: 'promote' } });
    const { archive, host, primary, backup } = made;
    const all = await summary(primary);
    const settings = { ...SELDOM, ...following(host) };
    await using standby = await startCopy(backup, { signal: 'standby', settings, env: host.env });
    await untilHolds(standby, all);
    await primary.stop();
    archive.remove();
    await untilOutage(standby);
    await standby.query('SELECT pg_promote(wait => false)');
    await untilOpen(standby);
    expect(archive.isAway).toBe(true);
    expect(await summary(standby)).toEqual(all);
    archive.bringBack();
    await fillSegments(standby, 1);
    await untilAllArchived(standby);
  });

  situation('it finds `promote` in place at the request that decides', async (version) => {
    await using made = await startPrimary(version);
    const { host, primary, backup } = made;
    const traced = new TracedRestore(host.restoreCommand, { before: NOTE });
    const settings = { ...SELDOM, ...following(host), restore_command: traced.command };
    await using standby = await startCopy(backup, { signal: 'standby', settings, env: host.env });
    await untilHolds(standby, await summary(primary));
    await untilAsleep(standby);
    const before = traced.requests().length;
    await standby.query('SELECT pg_promote()');
    await untilOpen(standby);
    expect(traced.requests()[before]).toMatchObject({ status: 1 });
    expect(notes(standby)[before]).toBe('promote standby.signal');
  });

  situation('it stays at a hole, and stops rather than be promoted over it', async (version) => {
    await using made = await startPrimary(version);
    const { archive, host, primary, backup } = made;
    const settings = { ...SELDOM, ...following(host) };
    const [lost = ''] = await fillSegments(primary, 2);
    await untilAllArchived(primary);
    const object = objectPath(archive.path, lost) ?? '';
    renameSync(object, `${archive.path}.hole`);
    await using standby = await startCopy(backup, { signal: 'standby', settings, env: host.env });
    await untilAsleep(standby);
    await standby.query('SELECT pg_promote(wait => false)').catch(() => undefined);
    await untilStopped(standby);
    expect(standby.log()).toContain('child process exited with exit code 207');
    expect(standby.log()).not.toContain('archive recovery complete');
    renameSync(`${archive.path}.hole`, object);
    await standby.start({ settings, env: host.env });
    await untilHolds(standby, await summary(primary));
  });

  situation('it lives through bad settings', async (version) => {
    await using made = await startPrimary(version);
    const { host, primary, backup } = made;
    const settings = { ...SELDOM, ...following(host) };
    await using standby = await startCopy(backup, { signal: 'standby', settings, env: host.env });
    const from = standby.log().length;
    host.configure({ fetch: { on_gapp: 'stop' } });
    await untilLogged(standby, /wal-fetch: .*on_gapp/, from);
    host.configure({});
    await fillSegments(primary, 1);
    await untilHolds(standby, await summary(primary));
    expect(logged(standby, 'child process exited')).toBe(false);
  });
});

/** Takes the archive away from a primary and its standby. Returns what the primary holds then. */
async function fallBehind({ archive, primary }: Primary): Promise<Summary> {
  archive.remove();
  await fillSegments(primary, 2);
  return summary(primary);
}

/** Until a standby has asked an archive that is away, and sleeps. */
async function untilOutage(standby: PostgresServer): Promise<void> {
  await untilLogged(standby, AWAY, standby.log().length);
  await untilAsleep(standby);
}

/** Up to 13, restore_command is read only at the start. */
async function reconfigure(standby: PostgresServer, settings: Settings, env = {}): Promise<void> {
  if (standby.version < 14) await standby.restart('fast', { settings, env });
  else standby.reload(settings);
}

async function expectPromotionStopped(standby: PostgresServer): Promise<void> {
  await untilStopped(standby);
  expect(standby.log()).toContain('child process exited with exit code 202');
  expect(standby.log()).not.toContain('archive recovery complete');
  expect(standby.log()).toMatch(/wal-fetch: hint: .*being promoted.*on_promote = "promote"/);
}

/** Which of the server's files are there at a request. */
const NOTE = 'echo $(ls | grep -E "^(promote|standby.signal|recovery.signal)$") >> notes';

function notes(server: PostgresServer): string[] {
  return readFileSync(join(server.dataDirectory, 'notes'), 'utf8').split('\n').slice(0, -1);
}
