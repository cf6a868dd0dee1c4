import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';

import { contents, type Host } from './archiving.ts';
import { branchesCopy, histories, TIMELINES, type Branches, type Goal } from './branches.ts';
import { Removable, TracedRestore, type Request } from './interference.ts';
import { archiverStatistics, fillSegments, startCopy, summary, untilAllArchived, untilOpen } from './ledger.ts';
import type { PostgresServer, ServerOptions } from './postgres.ts';
import { waitFor } from './wait.ts';

/** Until a recovery has ended in one way or the other. */
async function untilOpenOrStopped(server: PostgresServer): Promise<'open' | 'stopped'> {
  let end: 'open' | 'stopped' | undefined;
  await waitFor(
    'the recovery to end in some way',
    async () => {
      if (server.pid === undefined) end = 'stopped';
      const [row] = await server.query('SELECT pg_is_in_recovery() AS recovering').catch(() => []);
      if (row?.['recovering'] === false) end = 'open';
      return end !== undefined;
    },
    30_000,
    () => server.log().slice(-4_000),
  );
  return end ?? 'stopped';
}

/** Counts the requests of a recovery, and then loses the archive at each of them, in a recovery of its own. */
export async function loseArchiveAtEach(past: Branches, goal: Goal): Promise<void> {
  const requests = await undisturbed(past, goal);
  for (const [index, { name }] of requests.entries()) {
    await loseArchiveAt(past, goal, index + 1).catch((error: unknown) => {
      throw new Error(`at request ${index + 1}, for ${name}`, { cause: error });
    });
  }
}

/**
 * The server crashes while request `number` of a recovery waits for its answer. The next start must be at its goal.
 */
export async function crashAt(past: Branches, goal: Goal, number: number): Promise<void> {
  const { archive, host } = await branchesCopy(past);
  const traced = new TracedRestore(host.restoreCommand, {
    before: `[ $n = ${number} ] && touch waits && exec sleep 60`,
  });
  const settings = { ...host.restoring, ...goal.settings };
  const options = { settings: { ...settings, restore_command: traced.command }, env: host.env, waitUntilReady: false };
  await using server = await startCopy(past.backup, { ...options, signal: 'recovery' });
  await waitFor('the request', () => existsSync(join(server.dataDirectory, 'waits')));
  await server.stop('immediate');
  await server.start({ settings, env: host.env });
  await untilOpen(server);
  await expectGoal(server, past, goal, archive);
}

/**
 * One recovery that is started again and again, and loses the archive at its first request, then at its second, and so
 * on until it ends. Returns how often it stopped.
 */
export async function loseArchiveAgainAndAgain(past: Branches, goal: Goal): Promise<number> {
  const { archive, host } = await branchesCopy(past);
  const away = new Removable(archive);
  const settings = { ...host.restoring, ...goal.settings };
  const losingAt = (number: number): ServerOptions => {
    const traced = new TracedRestore(host.restoreCommand, { before: `[ $n = ${number} ] && ${away.shell}` });
    return { settings: { ...settings, restore_command: traced.command }, env: host.env, waitUntilReady: false };
  };
  await using server = await startCopy(past.backup, { ...losingAt(1), signal: 'recovery' });
  let stops = 0;
  while ((await untilOpenOrStopped(server)) === 'stopped') {
    stops += 1;
    away.bringBack();
    await server.start(losingAt(stops + 1));
  }
  if (away.isAway) {
    await server.stop('immediate');
    away.bringBack();
    await server.start({ settings, env: host.env });
    await untilOpen(server);
  }
  await expectGoal(server, past, goal, archive);
  return stops;
}

/** A recovery waits at its target, and is told to go on while the archive is away. */
export async function resumeWithout(past: Branches, goal: Goal): Promise<void> {
  const { archive, host } = await branchesCopy(past);
  const away = new Removable(archive);
  const settings = { ...host.restoring, ...goal.settings, recovery_target_action: 'pause' };
  await using server = await startCopy(past.backup, { signal: 'recovery', settings, env: host.env });
  const untilPaused = (): Promise<void> =>
    waitFor('the pause', async () => {
      const [row] = await server.query('SELECT pg_is_wal_replay_paused() AS paused').catch(() => []);
      return row?.['paused'] === true;
    });
  await untilPaused();
  away.remove();
  await server.query('SELECT pg_wal_replay_resume()');
  expect(await untilOpenOrStopped(server)).toBe('stopped');
  expect(server.log()).toContain('child process exited with exit code 202');
  away.bringBack();
  await server.start({ settings, env: host.env });
  await untilPaused();
  expect(await summary(server)).toEqual(goal.holds);
  await server.query('SELECT pg_wal_replay_resume()');
  await untilOpen(server);
  await expectGoal(server, past, goal, archive);
}

/** What an undisturbed recovery asks for, in order. It is checked like the disturbed ones. */
export async function undisturbed(past: Branches, goal: Goal): Promise<Request[]> {
  const { archive, host } = await branchesCopy(past);
  const traced = new TracedRestore(host.restoreCommand);
  const settings = { ...host.restoring, ...goal.settings, restore_command: traced.command };
  await using server = await startCopy(past.backup, { signal: 'recovery', settings, env: host.env });
  await untilOpen(server);
  const requests = traced.requests();
  await expectGoal(server, past, goal, archive);
  return requests;
}

/**
 * Takes the archive away before request `number` of a recovery, and leaves it away. The server must stop, or open at
 * its goal; so must the next start, without the archive; and with the archive back it must be at its goal.
 */
async function loseArchiveAt(past: Branches, goal: Goal, number: number): Promise<void> {
  const { archive, host } = await branchesCopy(past);
  const away = new Removable(archive);
  const traced = new TracedRestore(host.restoreCommand, { before: `[ $n = ${number} ] && ${away.shell}` });
  const settings = { ...host.restoring, ...goal.settings };
  const options = { settings: { ...settings, restore_command: traced.command }, env: host.env, waitUntilReady: false };
  await using server = await startCopy(past.backup, { ...options, signal: 'recovery' });
  const end = await untilOpenOrStopped(server);
  expect(away.isAway).toBe(true);
  const asked = traced.requests().slice(number - 1);
  if (end === 'open') await expectOpenedWithout(server, goal, asked);
  else expectStopped(server, asked);
  await restartWithout(server, host, goal);
  away.bringBack();
  await server.start({ settings, env: host.env });
  await untilOpen(server);
  await expectGoal(server, past, goal, archive);
}

/**
 * It opens without the archive only when it needs no more of it than the agent has already. `asked`: what it asked for
 * from then on; the last is the parent's history, which the launcher calls absent, as the server has it.
 */
async function expectOpenedWithout(server: PostgresServer, goal: Goal, asked: readonly Request[]): Promise<void> {
  expect(await summary(server)).toEqual(goal.holds);
  const parent = `0000000${goal.parents.at(-1) ?? 0}.history`;
  expect(asked.at(-1)).toEqual({ name: parent, path: 'pg_wal/RECOVERYHISTORY', status: 1 });
  expect(asked.slice(0, -1).filter(({ status }) => status !== 0)).toEqual([]);
  // As a crash does, right after.
  await server.stop('immediate');
}

function expectStopped(server: PostgresServer, asked: readonly Request[]): void {
  expect(asked.at(-1)).toMatchObject({ status: 202 });
  expect(asked.slice(0, -1).filter(({ status }) => status !== 0)).toEqual([]);
  expect(server.log()).not.toContain('archive recovery complete');
  expect(existsSync(join(server.dataDirectory, 'recovery.signal'))).toBe(true);
}

/** A start in the outage changes nothing: a recovery stops again, and what has opened opens with what it had. */
async function restartWithout(server: PostgresServer, host: Host, goal: Goal): Promise<void> {
  const wasOver = !existsSync(join(server.dataDirectory, 'recovery.signal'));
  await server.start({ settings: { ...host.restoring, ...goal.settings }, env: host.env, waitUntilReady: false });
  expect(await untilOpenOrStopped(server)).toBe(wasOver ? 'open' : 'stopped');
  if (!wasOver) return;
  expect(await summary(server)).toEqual(goal.holds);
  await server.stop('immediate');
}

/** It holds what it must, on a timeline of its own that says where it comes from, and it archives. */
async function expectGoal(server: PostgresServer, past: Branches, goal: Goal, archive: string): Promise<void> {
  expect(await summary(server)).toEqual(goal.holds);
  await fillSegments(server, 1);
  await untilAllArchived(server);
  expect((await archiverStatistics(server)).failed).toBe(0);
  const next = TIMELINES.length + 1;
  const name = `${next.toString().padStart(8, '0')}.history`;
  expect(histories(archive)).toEqual([...histories(past.site.archives[0]), name]);
  expect(contents(archive)).toMatchObject(contents(past.site.archives[0]));
  const text = readFileSync(join(server.dataDirectory, 'pg_wal', name), 'utf8');
  expect([...text.matchAll(/^(\d+)\t/gm)].map(([, timeline]) => Number(timeline))).toEqual(goal.parents);
}
