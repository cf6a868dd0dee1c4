import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';

import { Bond } from '../../src/agent/bond.ts';
import { makeScratch } from '../harness/scratch.ts';

const MINE = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** A process that may be taken for a postmaster. */
function start(): ChildProcess {
  const child = spawn('sleep', ['60'], { stdio: 'ignore' });
  children.push(child);
  return child;
}

function dataDirectory(pid: number | undefined): string {
  const directory = makeScratch('bond', MINE);
  if (pid !== undefined) write(directory, pid);
  return directory;
}

function write(directory: string, pid: number, { startTime = 1_760_000_000, status = 'ready   ' } = {}): void {
  const lines = [pid, directory, startTime, 5432, '/tmp', '*', '  1234  5678', status];
  writeFileSync(join(directory, 'postmaster.pid'), `${lines.join('\n')}\n`);
}

test('holds as long as the postmaster lives and its file says the same', async () => {
  const postmaster = start();
  const pid = Number(postmaster.pid);
  const directory = dataDirectory(pid);
  const bond = new Bond(directory, false);
  expect(bond.holds()).toBe(true);
  // The status changes all the time.
  write(directory, pid, { status: 'stopping' });
  expect(bond.holds()).toBe(true);
  postmaster.kill('SIGKILL');
  await once(postmaster, 'exit');
  expect(bond.holds()).toBe(false);
});

test.each(['another pid', 'another start', 'no file'])('breaks with %s', (what) => {
  const pid = Number(start().pid);
  const directory = dataDirectory(pid);
  const bond = new Bond(directory, false);
  if (what === 'another pid') write(directory, Number(start().pid));
  if (what === 'another start') write(directory, pid, { startTime: 1_760_000_001 });
  if (what === 'no file') rmSync(join(directory, 'postmaster.pid'));
  expect(bond.holds()).toBe(false);
  write(directory, pid);
  expect(bond.holds()).toBe(true);
});

test.each(['no file', 'a process that is gone', 'a standalone backend', 'nonsense'])(
  'never holds with %s',
  async (what) => {
    const gone = start();
    const pid = Number(gone.pid);
    gone.kill('SIGKILL');
    await once(gone, 'exit');
    const directory = dataDirectory(what === 'no file' ? undefined : what === 'a standalone backend' ? -pid : pid);
    if (what === 'nonsense') writeFileSync(join(directory, 'postmaster.pid'), 'nonsense\n');
    expect(new Bond(directory, false).holds()).toBe(false);
  },
);

test('a service, which may not see the process, goes by the file, and is bound anew to another server', () => {
  const directory = dataDirectory(undefined);
  const bond = new Bond(directory, true);
  expect(bond.holds()).toBe(false);
  write(directory, 1);
  expect(bond.holds()).toBe(false);
  bond.renew();
  expect(bond.holds()).toBe(true);
  write(directory, 1, { startTime: 1_760_000_001 });
  expect(bond.holds()).toBe(false);
});
