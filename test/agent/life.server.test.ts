import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';

import { agentsOf, descriptorsOf, readProc, socketOf, untilGone } from '../harness/agents.ts';
import { programs } from '../harness/archiving.ts';
import { archiverStatistics, fillSegments, switchSegment, untilAllArchived, waiting } from '../harness/ledger.ts';
import type { PostgresServer } from '../harness/postgres.ts';
import { makeScratch } from '../harness/scratch.ts';
import { situation } from '../harness/situations.ts';
import { copyAsServer, serverUser, writeAsServer } from '../harness/server-user.ts';
import { childrenOf, waitFor } from '../harness/wait.ts';
import { archivedNames, command, openPlace, release, untilListening, withAgent } from './place.ts';

situation('an agent is started by need, and has nothing of the server', async (version) => {
  await using place = await openPlace(20, { version, agent: { nice: 7 } });
  const { server } = place;
  const { dataDirectory } = server;
  await release(place);
  await untilListening(dataDirectory);
  await untilAllArchived(server);
  // Where the first one was slow to start, a second one has taken its place.
  await waitFor('one agent', () => agentsOf(dataDirectory).length === 1);
  const agent = await untilListening(dataDirectory);
  expect((await archiverStatistics(server)).failed).toBe(0);

  const [, , group, session] = statOf(agent);
  expect([group, session]).toEqual([String(agent), String(agent)]);
  expect(readProc(agent, 'oom_score_adj').trim()).toBe('1000');
  const threads = readdirSync(`/proc/${agent}/task`);
  expect(new Set(threads.map((thread) => statOf(agent, thread)[16]))).toEqual(new Set(['7']));

  // What it has open is the end of nothing of the server's: neither files, nor its log, nor its sockets.
  await waitFor('it to have done all', () => !descriptorsOf(agent).some((target) => target.startsWith(dataDirectory)));
  const own = (target: string): boolean => target !== '/dev/null' && !target.startsWith('anon_inode');
  const ofServer = processesOf(server).flatMap(descriptorsOf).filter(own);
  expect(ofServer.length).toBeGreaterThan(5);
  expect(descriptorsOf(agent).filter((target) => ofServer.includes(target))).toEqual([]);
  expect(readlinkSync(`/proc/${agent}/cwd`)).toBe('/');

  const socket = socketOf(agent) ?? '';
  expect(statSync(socket)).toMatchObject({ uid: serverUser().uid });
  expect(statSync(socket).mode & 0o777).toBe(0o600);
  expect(statSync(dirname(socket)).mode & 0o777).toBe(0o700);
});

test('none is started where little waits, or where the settings say so', async () => {
  await using place = await openPlace(20, { agent: { enabled: false } });
  const { server, host } = place;
  await release(place);
  await untilAllArchived(server);
  // One that was started would stay for a minute.
  expect(agentsOf(server.dataDirectory)).toEqual([]);
  host.configure({ agent: {} });
  for (let round = 0; round < 3; round += 1) {
    await fillSegments(server, 1);
    await untilAllArchived(server);
  }
  expect(agentsOf(server.dataDirectory)).toEqual([]);
  expect((await archiverStatistics(server)).failed).toBe(0);
});

test('an agent is replaced for another build, other settings, another key, other credentials', async () => {
  await using place = await openPlace(0);
  const { server, host, site } = place;
  const changes = {
    settings: () => {
      host.configure({ agent: {}, top: { deadline: '61s' } });
    },
    'key file': () => {
      writeAsServer(site.signingKeyFile, readFileSync(site.signingKeyFile));
    },
    build: async () => {
      const copy = join(makeScratch('build', serverUser()), 'programs');
      copyAsServer(await programs(), copy);
      await command(server, `${copy}/wal-push "%p"`);
    },
  };
  for (const [what, change] of Object.entries(changes)) {
    const agent = await withAgent(place);
    await untilAllArchived(server);
    await change();
    await switchSegment(server);
    await waitFor(`the agent to go for another ${what}`, () => !agentsOf(server.dataDirectory).includes(agent));
    await untilAllArchived(server);
  }
  const agent = await withAgent(place);
  await untilAllArchived(server);
  const last = readdirSync(join(server.dataDirectory, 'pg_wal')).find((name) => /^[0-9A-F]{24}$/.test(name)) ?? '';
  // By hand, with an environment of one's own.
  expect(await host.run('wal-push', [`pg_wal/${last}`], server.dataDirectory)).toMatchObject({ status: 0 });
  await untilGone(agent);
  expect((await archiverStatistics(server)).failed).toBe(0);
});

test('of several that are started at once one stays, and is used', async () => {
  await using place = await openPlace(12);
  const { server, host } = place;
  const { dataDirectory } = server;
  const push = async (name: string): Promise<void> => {
    expect(await host.run('wal-push', [`pg_wal/${name}`], dataDirectory)).toMatchObject({ status: 0, stderr: '' });
  };
  const names = waiting(server);
  await Promise.all(names.slice(0, 5).map(push));
  await waitFor('one of them to stay', () => agentsOf(dataDirectory).length === 1);
  const agent = await untilListening(dataDirectory);
  for (const name of names.slice(5)) await push(name);
  expect(agentsOf(dataDirectory)).toEqual([agent]);
  expect(archivedNames(place)).toEqual(names);
});

test.each(['fast', 'immediate', 'killed'] as const)('an agent goes with its server: %s', async (how) => {
  await using place = await openPlace(0);
  const { server } = place;
  const agent = await withAgent(place);
  const socket = socketOf(agent) ?? '';
  if (how === 'killed') await server.kill();
  else await server.stop(how);
  await untilGone(agent, 5_000);
  expect(() => statSync(socket)).toThrow('ENOENT');
  await server.start();
  const next = await withAgent(place);
  expect(next).not.toBe(agent);
  await untilAllArchived(server);
  expect(new Set(archivedNames(place)).size).toBe(archivedNames(place).length);
});

test('SIGTERM ends it in the middle of its work, and the server goes on by itself', async () => {
  await using place = await openPlace(0);
  const { server } = place;
  for (let round = 0; round < 3; round += 1) {
    const agent = await withAgent(place, 25);
    process.kill(agent, 'SIGTERM');
    await untilGone(agent, 5_000);
  }
  await untilAllArchived(server);
  expect((await archiverStatistics(server)).failed).toBe(0);
});

test('an agent that is stopped holds up each push for some seconds, and fails none', async () => {
  await using place = await openPlace(0);
  const { server } = place;
  const agent = await withAgent(place);
  await untilAllArchived(server);
  process.kill(agent, 'SIGSTOP');
  const segments = await fillSegments(server, 2);
  await untilAllArchived(server);
  expect(archivedNames(place)).toEqual(expect.arrayContaining(segments));
  expect(agentsOf(server.dataDirectory)).toEqual([agent]);
  process.kill(agent, 'SIGCONT');
  await fillSegments(server, 10);
  await untilAllArchived(server);
  expect((await archiverStatistics(server)).failed).toBe(0);
});

test('a fast stop takes along 50 segments that wait', async () => {
  await using place = await openPlace(50);
  const { server } = place;
  await release(place);
  const agent = await untilListening(server.dataDirectory);
  expect(await server.stop()).toEqual({ code: 0, signal: null });
  await untilGone(agent, 5_000);
  expect(archivedNames(place).length).toBeGreaterThanOrEqual(51);
  expect(server.log()).not.toContain('archive command failed');
});

/** The fields of /proc/<pid>/stat after the name, of a process or one of its threads. */
function statOf(pid: number, thread?: string): string[] {
  const text = readProc(pid, thread === undefined ? 'stat' : `task/${thread}/stat`);
  return text.slice(text.lastIndexOf(') ') + 2).split(' ');
}

/** The postmaster and its children. */
function processesOf(server: PostgresServer): number[] {
  const postmaster = Number(server.pid);
  return [postmaster, ...childrenOf(postmaster)];
}
