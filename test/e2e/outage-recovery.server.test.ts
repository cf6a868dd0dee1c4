import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';

import { copyArchive, Host, makeDirectory, makeSite, type Site } from '../harness/archiving.ts';
import { Removable, TracedRestore } from '../harness/interference.ts';
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
import { waitFor } from '../harness/wait.ts';

describe('the archive goes away in the middle of a recovery', () => {
  let site: Site;
  let plain: string;
  let backup: string;
  let middle: string;
  let all: Summary;
  beforeAll(async () => {
    site = makeSite();
    const host = await Host.make(site);
    plain = makeDirectory(join(site.directory, 'plain'));
    const settings = { ...host.archiving, archive_command: `${host.archiveCommand} && cp "%p" ${plain}/%f` };
    await using server = await startPostgres({ version: 18, walSegmentSizeMb: 1, settings, env: host.env });
    await createLedger(server);
    backup = await takeBackup(server);
    const segments = await fillSegments(server, 6);
    middle = segments[3] ?? '';
    all = await summary(server);
    await untilAllArchived(server);
  });

  test('recovery stops instead of opening with data missing, and the same recovery completes afterwards', async () => {
    const archive = new Removable(copyArchive(site.archives[0]));
    const host = await Host.make(site, { archives: [{ url: archive.path }] });
    const traced = new TracedRestore(host.restoreCommand, { after: `[ "$1" = ${middle} ] && ${archive.shell}` });
    const settings = { ...host.restoring, restore_command: traced.command };
    const options = { signal: 'recovery', settings, env: host.env } as const;
    await using server = await startCopy(backup, { ...options, waitUntilReady: false });
    await untilStopped(server);

    expect(server.log()).toContain('child process exited with exit code 202');
    expect(server.log()).toMatch(/wal-fetch: archive file:.*there is no directory/);
    expect(server.log()).not.toContain('archive recovery complete');
    expect(traced.requests().at(-1)).toMatchObject({ status: 202 });
    expect(existsSync(join(server.dataDirectory, 'recovery.signal'))).toBe(true);
    archive.bringBack();
    await server.start({ settings: host.restoring, env: host.env });
    await untilOpen(server);
    expect(await summary(server)).toEqual(all);
  });

  test('with one of two archives gone, recovery takes the rest from the other, and opens only when the lost one is left out', async () => {
    const away = new Removable(copyArchive(site.archives[0]));
    const rest = copyArchive(site.archives[0]);
    const host = await Host.make(site, { archives: [{ url: away.path }, { url: rest }] });
    const traced = new TracedRestore(host.restoreCommand, { after: `[ "$1" = ${middle} ] && ${away.shell}` });
    const options = { settings: { ...host.restoring, restore_command: traced.command }, env: host.env };
    await using server = await startCopy(backup, { ...options, signal: 'recovery', waitUntilReady: false });
    await untilStopped(server);
    expect(server.log()).toContain(`taken from archive file://${rest}`);
    expect(server.log()).toContain('child process exited with exit code 202');
    expect(server.log()).toMatch(new RegExp(`is not proven absent: .*${away.path}`));
    expect(server.log()).toContain('remove its [[archive]] block');

    expect(traced.requests().filter(({ status }) => status === 0).length).toBeGreaterThan(4);

    host.configure({ archives: [{ url: rest }] });
    await server.start({ settings: host.restoring, env: host.env });
    await untilOpen(server);
    expect(await summary(server)).toEqual(all);
  });

  test('a bare cp in the same situation opens the database with rows missing', async () => {
    const archive = new Removable(copyArchive(plain));
    const traced = new TracedRestore(`cp ${archive.path}/"%f" "%p"`, {
      after: `[ "$1" = ${middle} ] && ${archive.shell}`,
    });
    await using server = await startCopy(backup, { signal: 'recovery', settings: { restore_command: traced.command } });
    await untilOpen(server);
    const { rows } = await summary(server);
    expect(rows).toBeGreaterThan(0);
    expect(rows).toBeLessThan(all.rows);
  });
});

describe('the archive goes away at the end of a recovery to a target on timeline 2', () => {
  let site: Site;
  let backup: string;
  let atTarget: Summary;
  let beyond: Summary;
  let undisturbed: number;
  const TARGET = { recovery_target_name: 'before the mistake', recovery_target_timeline: 'latest' };

  beforeAll(async () => {
    site = makeSite();
    const host = await Host.make(site);
    {
      await using server = await startPostgres({
        version: 18,
        walSegmentSizeMb: 1,
        settings: host.archiving,
        env: host.env,
      });
      await createLedger(server);
      backup = await takeBackup(server);
      await fillSegments(server, 2);
      await untilAllArchived(server);
    }
    {
      await using server = await startCopy(backup, { signal: 'recovery', settings: host.restoring, env: host.env });
      await untilOpen(server);
      await fillSegments(server, 2);
      await server.query("SELECT pg_create_restore_point('before the mistake')");
      atTarget = await summary(server);
      await server.query('DELETE FROM ledger WHERE id % 2 = 0');
      await fillSegments(server, 1);
      beyond = await summary(server);
      await untilAllArchived(server);
    }
    const traced = new TracedRestore(host.restoreCommand);
    const reader = await Host.make(site, { archives: [{ url: copyArchive(site.archives[0]) }] });
    const settings = { ...reader.restoring, ...TARGET, restore_command: traced.command };
    await using server = await startCopy(backup, { signal: 'recovery', settings, env: reader.env });
    await untilOpen(server);
    expect(await summary(server)).toEqual(atTarget);
    undisturbed = traced.requests().length;
    expect(traced.requests().at(-1)).toEqual({ name: '00000002.history', path: 'pg_wal/RECOVERYHISTORY', status: 1 });
    expect(traced.requests().at(-2)).toMatchObject({ name: '00000003.history', status: 1 });
  });

  /** Requests from the end: the parent's history, the next timeline's, the last segment again, and what was before. */
  test.each([1, 2, 3, 4, 5])(
    'before the request %i from the end: it opens at the target, or stops and never goes past it',
    async (fromEnd) => {
      const archive = new Removable(copyArchive(site.archives[0]));
      const host = await Host.make(site, { archives: [{ url: archive.path }] });
      const breaking = undisturbed - fromEnd + 1;
      const traced = new TracedRestore(host.restoreCommand, { before: `[ $n = ${breaking} ] && ${archive.shell}` });
      const settings = { ...host.restoring, ...TARGET, restore_command: traced.command };
      await using server = await startCopy(backup, {
        signal: 'recovery',
        settings,
        env: host.env,
        waitUntilReady: false,
      });
      await untilOpenOrStopped(server);

      expect(archive.isAway).toBe(true);
      if (fromEnd === 1) {
        expect(traced.requests().at(-1)).toEqual({
          name: '00000002.history',
          path: 'pg_wal/RECOVERYHISTORY',
          status: 1,
        });
        expect(server.pid).toBeDefined();
        expect(await summary(server)).toEqual(atTarget);
        await server.stop('immediate');
      } else {
        expect(traced.requests().at(-1)?.status).toBe(202);
        expect(server.pid).toBeUndefined();
      }
      archive.bringBack();
      await server.start({ settings: { ...host.restoring, ...TARGET }, env: host.env });
      await untilOpen(server);
      const after = await summary(server);
      expect(after).toEqual(atTarget);
      expect(after).not.toEqual(beyond);
      await fillSegments(server, 1);
      await untilAllArchived(server);
      const history = readFileSync(join(server.dataDirectory, 'pg_wal', '00000003.history'), 'utf8');
      expect(history).toMatch(/^1\t.*\n+2\t.*before the mistake/s);
    },
  );
});

async function untilOpenOrStopped(server: PostgresServer): Promise<void> {
  await waitFor('the recovery to end in some way', async () => {
    if (server.pid === undefined) return true;
    const [row] = await server.query('SELECT pg_is_in_recovery() AS recovering').catch(() => []);
    return row?.['recovering'] === false;
  });
}
