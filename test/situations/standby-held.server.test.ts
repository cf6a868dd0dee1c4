import { describe, expect } from 'vitest';

import { contents } from '../harness/archiving.ts';
import { branches, branchesCopy } from '../harness/branches.ts';
import { Removable, TracedRestore } from '../harness/interference.ts';
import {
  fillSegments,
  startCopy,
  summary,
  untilAllArchived,
  untilLogged,
  untilOpen,
  untilStopped,
  waiting,
} from '../harness/ledger.ts';
import type { PostgresServer } from '../harness/postgres.ts';
import { situation } from '../harness/situations.ts';
import { AWAY, following, SELDOM, startPrimary, untilAsleep, untilHolds, type Primary } from '../harness/standbys.ts';
import { waitFor } from '../harness/wait.ts';

/** What an agent has fetched ahead by then, the standby would have. */
const ALONE = { agent: { enabled: false } };

describe('Standbys: one that is behind on purpose, and lives from the archive alone', () => {
  situation('it is promoted with everything that the archive has', async (version) => {
    await using made = await startPrimary(version);
    await using standby = await startDelayed(made);
    expect((await summary(standby)).rows).toBe(0);
    const all = await summary(made.primary);
    await made.primary.stop();
    await standby.query('SELECT pg_promote()');
    await untilOpen(standby);
    expect(await summary(standby)).toEqual(all);
  });

  situation(
    'promoted over an outage while it is delayed, it opens with less: `promote` is gone before it asks',
    async (version) => {
      await using made = await startPrimary(version, ALONE);
      await using standby = await startDelayed(made);
      await expectShort(made, standby);
    },
  );

  situation(
    'promoted over an outage while it is paused, it opens with less: `promote` is gone before it asks',
    async (version) => {
      await using made = await startPrimary(version, ALONE);
      await using standby = await startPaused(made);
      await expectShort(made, standby);
    },
  );

  situation('when its delay is lifted first, it stops rather than be promoted over the outage', async (version) => {
    await using made = await startPrimary(version);
    await using standby = await startDelayed(made);
    made.archive.remove();
    const from = standby.log().length;
    standby.reload({ ...SELDOM, ...following(made.host) });
    await expectStopped(standby, from);
  });

  situation('when it is resumed first, it stops rather than be promoted over the outage', async (version) => {
    await using made = await startPrimary(version);
    await using standby = await startPaused(made);
    made.archive.remove();
    const from = standby.log().length;
    await standby.query('SELECT pg_wal_replay_resume()');
    await expectStopped(standby, from);
  });
});

describe('Standbys: one with a recovery target', () => {
  situation(
    'without the archive at its end it takes a timeline number again, and archives nothing; nothing is overwritten',
    async (version) => {
      const past = await branches(version);
      const { archive, host } = await branchesCopy(past);
      const away = new Removable(archive);
      const traced = new TracedRestore(host.restoreCommand, { before: `[ $1 = 00000003.history ] && ${away.shell}` });
      const target = { ...past.goals.second.settings, restore_command: traced.command };
      const options = { settings: { ...host.restoring, ...target }, env: host.env, waitUntilReady: false };
      await using server = await startCopy(past.backup, { ...options, signal: 'standby' });
      await untilOpen(server);
      expect(await summary(server)).toEqual(past.goals.second.holds);
      away.bringBack();
      await fillSegments(server, 1);
      await untilLogged(server, 'archive command failed with exit code 73');
      expect(waiting(server).at(-1)).toMatch(/^00000003/);
      expect(contents(archive)).toEqual(contents(past.site.archives[0]));
    },
  );
});

/** A standby without a stream that stays behind on purpose, while the archive has more. */
async function startDelayed({ backup, host, primary }: Primary): Promise<PostgresServer> {
  const settings = { ...SELDOM, ...following(host), recovery_min_apply_delay: '1h' };
  const standby = await startCopy(backup, { signal: 'standby', settings, env: host.env });
  await fillSegments(primary, 2);
  await untilAllArchived(primary);
  await untilWaiting(standby, 'RecoveryApplyDelay');
  return standby;
}

/** The same, paused by hand when it had what there was. */
async function startPaused({ backup, host, primary }: Primary): Promise<PostgresServer> {
  const settings = { ...SELDOM, ...following(host) };
  const standby = await startCopy(backup, { signal: 'standby', settings, env: host.env });
  await untilHolds(standby, await summary(primary));
  await standby.query('SELECT pg_wal_replay_pause()');
  await fillSegments(primary, 2);
  await untilAllArchived(primary);
  await untilWaiting(standby, 'RecoveryPause');
  return standby;
}

async function untilWaiting(standby: PostgresServer, event: string): Promise<void> {
  await waitFor(event, async () => {
    const rows = await standby.query("SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'startup'");
    return rows[0]?.['wait_event'] === event;
  });
}

/** A limit, and not what anybody wants: docs/operations.md says what to do instead. */
async function expectShort({ archive, primary }: Primary, standby: PostgresServer): Promise<void> {
  const all = await summary(primary);
  archive.remove();
  await standby.query('SELECT pg_promote(wait => false)');
  await untilOpen(standby);
  expect(standby.log()).toMatch(AWAY);
  expect((await summary(standby)).rows).toBeLessThan(all.rows);
}

async function expectStopped(standby: PostgresServer, from: number): Promise<void> {
  await untilLogged(standby, AWAY, from);
  await untilAsleep(standby);
  await standby.query('SELECT pg_promote(wait => false)').catch(() => undefined);
  await untilStopped(standby);
  expect(standby.log()).toContain('child process exited with exit code 202');
  expect(standby.log()).not.toContain('archive recovery complete');
}
