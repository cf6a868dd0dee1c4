import { appendFileSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';

import type { Answer } from '../../src/agent/message.ts';
import { identifyFile } from '../../src/agent/requester.ts';
import { handOverFetch, type HandedOver } from '../../src/commands/hand-over.ts';
import type { TestCluster } from '../harness/cluster.ts';
import { makeCluster } from '../commands/in-process.ts';
import { segmentName } from './depot.ts';

/** What wal-fetch makes of what an agent says that it has brought. Nothing but the right file, and for nobody who is gone. */

const NAME = segmentName(1);
const PATH = 'pg_wal/RECOVERYXLOG';
const TEMPORARY = 'xlogtemp.walseal.4711.3';
const home = process.cwd();

let cluster: TestCluster;
let asked: string[];

beforeEach(() => {
  cluster = makeCluster();
  asked = [];
  appendFileSync(cluster.config, `[agent]\nsocket = "${join(cluster.root, 'agent.sock')}"\n`);
  vi.stubEnv('WALSEAL_CONFIG', cluster.config);
  process.chdir(cluster.dataDirectory);
  writeFileSync(`pg_wal/${TEMPORARY}`, 'what the agent has brought');
  onTestFinished(() => {
    process.chdir(home);
    vi.unstubAllEnvs();
  });
});

/** Has an agent answer so, whatever it is asked. */
async function answering(answer: Answer): Promise<void> {
  const server = createServer((socket) => {
    socket.setEncoding('utf8').on('data', (text: string) => {
      asked.push(text);
      socket.end(`{}\n${JSON.stringify(answer)}\n`);
    });
    socket.on('error', () => undefined);
  });
  await new Promise<void>((resolve) => server.listen(join(cluster.root, 'agent.sock'), resolve));
  onTestFinished(() => {
    server.close();
  });
}

function brought(temporary = TEMPORARY): Answer {
  return { is: 'fetched', temporary, file: identifyFile(`pg_wal/${TEMPORARY}`), warnings: [] };
}

function handOver(path = PATH, stillWanted: () => boolean = () => true): Promise<HandedOver> {
  return handOverFetch(NAME, path, {
    out: () => undefined,
    warn: () => undefined,
    progress: () => undefined,
    heedInterrupts: () => () => false,
    stillWanted,
    onAbandon: () => undefined,
    endsWithin: () => undefined,
    onPromote: () => undefined,
  });
}

test('what it has brought gets its name', async () => {
  await answering(brought());
  expect(await handOver()).toBe('done');
  expect(readFileSync(PATH, 'utf8')).toBe('what the agent has brought');
  expect(readdirSync('pg_wal')).toEqual(['RECOVERYXLOG']);
});

test('nobody waits any more: it gets no name', async () => {
  await answering(brought());
  await expect(handOver(PATH, () => false)).rejects.toMatchObject({ kind: 'unwritable' });
  expect(existsSync(PATH)).toBe(false);
});

test('swept at the last moment: we work alone', async () => {
  await answering(brought());
  const sweep = (): boolean => {
    rmSync(`pg_wal/${TEMPORARY}`);
    return true;
  };
  expect(await handOver(PATH, sweep)).toBe('declined');
  expect(existsSync(PATH)).toBe(false);
});

test('another file than the agent looked at gets no name', async () => {
  const answer = brought();
  rmSync(`pg_wal/${TEMPORARY}`);
  writeFileSync(`pg_wal/${TEMPORARY}`, 'something else, of another length');
  await answering(answer);
  expect(await handOver()).toBe('declined');
  expect(existsSync(PATH)).toBe(false);
});

test.each(['../xlogtemp.walseal.1.1', 'xlogtemp.walseal.4711.3/../../PG_VERSION', segmentName(2), 'xlogtemp.4711', ''])(
  'a file that is none of ours, "%s", gets no name',
  async (temporary) => {
    cluster.walFile(segmentName(2), 'the server’s own');
    await answering(brought(temporary));
    expect(await handOver()).toBe('declined');
    expect(existsSync(PATH)).toBe(false);
    expect(existsSync(`pg_wal/${segmentName(2)}`)).toBe(true);
  },
);

test('a path that is not the server’s own is not handed over: pg_rewind’s, and an operator’s', async () => {
  await answering(brought());
  for (const path of [cluster.walPath('RECOVERYXLOG'), './pg_wal/RECOVERYXLOG', '/tmp/x', 'x'])
    expect(await handOver(path)).toBe('no agent');
  expect(asked).toEqual([]);
});

test('an answer to something else is none', async () => {
  await answering({ is: 'stored', warnings: [] });
  expect(await handOver()).toBe('declined');
  expect(existsSync(PATH)).toBe(false);
});
