import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';

import { Agent, type AgentOptions } from '../../src/agent/agent.ts';
import { parseAnswer, type Answer, type Request } from '../../src/agent/message.ts';
import { describeRequester, identifyFile } from '../../src/agent/requester.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { makeControlFile, TestCluster } from '../harness/cluster.ts';
import { waitFor } from '../harness/wait.ts';
import { makeWaiting, segmentName } from './workshop.ts';

/** An agent of this process, and what it said at its end. */
interface Running {
  readonly agent: Agent;
  readonly socket: string;
  readonly ended: Promise<string>;
  readonly stop: () => void;
}

const running: Running[] = [];
afterEach(async () => {
  for (const { agent, stop, ended } of running.splice(0)) {
    stop();
    await ended;
    agent.close();
  }
});

function makeCluster(): TestCluster {
  const cluster = new TestCluster();
  mkdirSync(join(cluster.dataDirectory, 'pg_wal', 'archive_status'));
  cluster.postmaster('ready');
  return cluster;
}

async function openAgent(cluster: TestCluster, socket: string, options: Partial<AgentOptions> = {}): Promise<Agent> {
  const { dataDirectory, config } = cluster;
  const self = describeRequester(dataDirectory, config);
  const settings = await loadSettings(config, {});
  return Agent.open({ settings, self, dataDirectory, socket, isService: false, ...options });
}

/** Starts one; `lines` go into the settings first. */
async function start(cluster: TestCluster, options: Partial<AgentOptions> = {}, lines = ''): Promise<Running> {
  if (lines !== '') writeFileSync(cluster.config, `${readFileSync(cluster.config, 'utf8')}\n[agent]\n${lines}\n`);
  const socket = join(cluster.root, 'agent.sock');
  const agent = await openAgent(cluster, socket, options);
  let isToEnd = false;
  const ended = agent.run(() => isToEnd);
  ended.catch(() => undefined);
  const stop = (): void => {
    isToEnd = true;
  };
  const one = { agent, socket, ended, stop };
  running.push(one);
  await waitFor('the socket', () => statSync(socket, { throwIfNoEntry: false })?.isSocket() === true);
  return one;
}

function pushOf(cluster: TestCluster, name: string): Request {
  const requester = describeRequester(cluster.dataDirectory, cluster.config);
  return { ...requester, push: { name, file: identifyFile(cluster.walPath(name)) } };
}

/** Sends a line, and returns the answer; undefined where the connection is cut without one. */
function ask(socket: string, request: Request | string): Promise<Answer | undefined> {
  return new Promise((resolve) => {
    let text = '';
    connect(socket)
      .setEncoding('utf8')
      .on('data', (piece: string) => (text += piece))
      .on('error', () => undefined)
      .on('close', () => {
        const lines = text.split('\n').filter((line) => line !== '');
        resolve(lines.map(parseAnswer).find((answer) => answer !== undefined));
      })
      .write(`${typeof request === 'string' ? request : JSON.stringify(request)}\n`);
  });
}

describe('the end', () => {
  test('comes after a while without a request', async () => {
    const { ended } = await start(makeCluster(), { idleMs: 10 });
    expect(await ended).toBe('nothing to do');
  });

  test('does not come in the middle of a push that takes longer', async () => {
    const cluster = makeCluster();
    makeWaiting(cluster, 1);
    const { socket, ended } = await start(cluster, { idleMs: 10 }, 'bandwidth = "256kB"');
    expect(await ask(socket, pushOf(cluster, segmentName(1)))).toEqual({ is: 'stored', warnings: [] });
    expect(await ended).toBe('nothing to do');
  });

  test('comes with the server', async () => {
    const cluster = makeCluster();
    const { ended } = await start(cluster);
    writeFileSync(join(cluster.dataDirectory, 'postmaster.pid'), '4194304\n/data\n1\n');
    expect(await ended).toBe('the server is gone');
  });

  test('comes at once where another one listens, whose socket stays', async () => {
    const cluster = makeCluster();
    const { socket } = await start(cluster);
    const { ino } = statSync(socket);
    const other = await openAgent(cluster, socket);
    expect(await other.run(() => true)).toBe('there is an agent already');
    other.close();
    expect(statSync(socket).ino).toBe(ino);
  });

  test('comes when another one has taken the socket, which stays', async () => {
    const cluster = makeCluster();
    const { socket, ended } = await start(cluster);
    rmSync(socket);
    const other = await openAgent(cluster, socket);
    let isToEnd = false;
    const run = other.run(() => isToEnd);
    expect(await ended).toBe('another agent has taken over');
    expect(statSync(socket).isSocket()).toBe(true);
    isToEnd = true;
    expect(await run).toBe('told to end');
    other.close();
    expect(statSync(socket, { throwIfNoEntry: false })).toBeUndefined();
  });
});

test('what is no request is answered by the end of the connection, and harms nothing', async () => {
  const cluster = makeCluster();
  makeWaiting(cluster, 1);
  const { socket } = await start(cluster);
  const good = JSON.stringify(pushOf(cluster, segmentName(1)));
  for (const line of ['', 'nonsense', '{}', '[]', 'null', good.slice(0, -1), `${good}${good}`, '\u0000', '{"push":{}}'])
    expect(await ask(socket, line)).toBeUndefined();
  expect(await ask(socket, good)).toEqual({ is: 'stored', warnings: [] });
});

test('a name that is no WAL file, or leads elsewhere, is left to whoever asks', async () => {
  const cluster = makeCluster();
  makeWaiting(cluster, 1);
  const { socket } = await start(cluster);
  const request = pushOf(cluster, segmentName(1));
  for (const name of [
    '',
    '../global/pg_control',
    `../pg_wal/${segmentName(1)}`,
    `${segmentName(1)}.done`,
    'RECOVERYXLOG',
  ])
    expect(
      await ask(socket, { ...request, push: { file: identifyFile(cluster.walPath(segmentName(1))), name } }),
    ).toMatchObject({ is: 'yours' });
});

test('a socket takes the place of no other file', async () => {
  const cluster = makeCluster();
  const agent = await openAgent(cluster, cluster.keys.identity);
  await expect(agent.run(() => true)).rejects.toMatchObject({ kind: 'unwritable' });
  agent.close();
  expect(readFileSync(cluster.keys.identity, 'utf8')).toContain('AGE-SECRET-KEY');
});

describe('a service', () => {
  test('works for the next server, too', async () => {
    const cluster = makeCluster();
    makeWaiting(cluster, 2);
    const { socket } = await start(cluster, { isService: true });
    expect(await ask(socket, pushOf(cluster, segmentName(1)))).toMatchObject({ is: 'stored' });
    writeFileSync(join(cluster.dataDirectory, 'postmaster.pid'), '1\n/data\n2\n5432\n');
    expect(await ask(socket, pushOf(cluster, segmentName(2)))).toMatchObject({ is: 'stored' });
  });

  test('does not take another cluster in the same directory for the one that was there', async () => {
    const cluster = makeCluster();
    const { socket, ended } = await start(cluster, { isService: true });
    const control = join(cluster.dataDirectory, 'global', 'pg_control');
    writeFileSync(control, makeControlFile(18, '7400000000000000001', Buffer.alloc(32, 1)));
    writeFileSync(join(cluster.dataDirectory, 'postmaster.pid'), '1\n/data\n2\n5432\n');
    cluster.walFile('00000002.history', '1\t0/3000000\twhy\n');
    expect(await ask(socket, pushOf(cluster, '00000002.history'))).toMatchObject({ is: 'yours' });
    expect(await ended).toContain('another cluster');
    expect(cluster.objects()).toEqual([]);
  });

  test('does nothing while there is no server', async () => {
    const cluster = makeCluster();
    makeWaiting(cluster, 1);
    writeFileSync(join(cluster.dataDirectory, 'postmaster.pid'), '');
    const { socket } = await start(cluster, { isService: true });
    const request = pushOf(cluster, segmentName(1));
    cluster.postmaster('ready');
    expect(await ask(socket, request)).toMatchObject({ is: 'stored' });
  });
});
