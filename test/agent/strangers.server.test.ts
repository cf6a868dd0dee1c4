import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';

import { TestCluster } from '../harness/cluster.ts';
import { segmentName } from './workshop.ts';

/** Something else listens where the agent should: whatever it says, wal-push does its work alone. */
const servers: Server[] = [];
const sockets = new Set<Socket>();
afterEach(() => {
  for (const socket of sockets) socket.destroy();
  for (const server of servers.splice(0)) server.close();
});

interface Stranger {
  readonly cluster: TestCluster;
  readonly directory: string;
  /** How many have come to it. */
  readonly visits: () => number;
}

async function withStranger(behave: (socket: Socket) => void): Promise<Stranger> {
  const cluster = new TestCluster();
  cluster.segment(segmentName(1));
  const directory = join(cluster.root, 'sockets');
  mkdirSync(directory, { mode: 0o700 });
  const path = join(directory, 'agent.sock');
  writeFileSync(cluster.config, `${readFileSync(cluster.config, 'utf8')}\n[agent]\nsocket = "${path}"\n`);
  let visits = 0;
  const server = createServer((socket) => {
    visits += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
    behave(socket);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return { cluster, directory, visits: () => visits };
}

const launchers = ['bin', 'dist'] as const;

const ANSWERS: Readonly<Record<string, string>> = {
  nothing: '',
  nonsense: 'nonsense\n',
  'half an answer': '{"is":"stored","warn',
  'an answer of another kind': '{"is":"done"}\n',
  'an answer without its parts': '{"is":"stored"}\n',
  'a file for a push': `{"is":"fetched","temporary":"../postmaster.pid","file":{"dev":"1","ino":"1","size":"1","mtime":"1","ctime":"1"},"warnings":[]}\n`,
  'a failure of no kind': '{"is":"failed","kind":"toString","message":"","hint":"","onPromote":"stop","warnings":[]}\n',
  'bytes that are no text': '\u0000\u0001\u00ff\n',
  'that it is not for it': '{}\n{}\n{"is":"yours","why":"no"}\n',
};

for (const launcher of launchers) {
  test.each(Object.entries(ANSWERS))(`${launcher}: a stranger says %s`, async (_what, answer) => {
    const { cluster, visits } = await withStranger((socket) => {
      socket.once('data', () => socket.end(answer));
    });
    const { status, stderr } = await cluster.run('wal-push', [`pg_wal/${segmentName(1)}`], { launcher });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(existsSync(cluster.objectPath(segmentName(1)))).toBe(true);
    expect(visits()).toBe(1);
  });

  test(`${launcher}: a stranger says nothing, for ever`, async () => {
    const { cluster, visits } = await withStranger(() => undefined);
    const { status, stderr } = await cluster.run('wal-push', [`pg_wal/${segmentName(1)}`], { launcher });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(existsSync(cluster.objectPath(segmentName(1)))).toBe(true);
    expect(visits()).toBe(1);
  });

  test(`${launcher}: in a directory that others may look into, nobody is asked`, async () => {
    const { cluster, directory, visits } = await withStranger((socket) =>
      socket.end('{"is":"stored","warnings":[]}\n'),
    );
    chmodSync(directory, 0o755);
    const { status } = await cluster.run('wal-push', [`pg_wal/${segmentName(1)}`], { launcher });
    expect(status).toBe(0);
    expect(existsSync(cluster.objectPath(segmentName(1)))).toBe(true);
    expect(visits()).toBe(0);
  });
}
