import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';

import { needProgram } from '../harness/need.ts';
import { makeScratch } from '../harness/scratch.ts';
import { runAsServer, serverUser } from '../harness/server-user.ts';
import { COLUMNS, commandFor, dataDirectory, limited, PROOF, run, SHELLS } from './launch.ts';
import { faultyTree } from './tree.ts';

/** dist/ as it is installed: elsewhere, linked, read-only, for a user with nothing. */
let dist = '';
beforeAll(async () => {
  const { executable } = await faultyTree();
  const prefix = makeScratch('a place with spaces', me());
  dist = join(prefix, 'lib walseal');
  mkdirSync(dist);
  for (const name of readdirSync(executable)) cpSync(join(executable, name), join(dist, name));
  for (const path of [prefix, dist]) chmodSync(path, 0o755);
}, 60_000);

describe.each(Object.entries(SHELLS))('with %s', (_, shell) => {
  const isMissing = needProgram(shell[0] ?? '');

  test.runIf(!isMissing)('copied elsewhere, and called through a chain of links', async () => {
    const cwd = dataDirectory('push');
    const links = linked();
    expect((await run([...shell, join(links, 'wal-push'), 'done', PROOF], { cwd })).status).toBe(0);
    expect(existsSync(join(cwd, PROOF))).toBe(true);
  });

  test.runIf(!isMissing)('by a bare name, and by a relative path', async () => {
    for (const name of ['wal-push', './wal-push']) {
      const cwd = dataDirectory('push');
      expect((await run([...shell, name, 'done', join(cwd, PROOF)], { cwd: dist })).status).toBe(0);
    }
  });

  test.runIf(!isMissing)('with an empty environment', async () => {
    const cwd = dataDirectory('strict');
    const [program = '', ...rest] = commandFor(shell, dist, 'strict', 'done');
    const path = spawnSync('dash', ['-c', 'command -v "$1"', 'dash', program], { encoding: 'utf8' }).stdout.trim();
    expect((await run(['env', '-i', path, ...rest], { cwd })).status).toBe(0);
  });
});

test('where the shell can start nothing, it says so itself', async () => {
  const shells = Object.values(SHELLS).filter(([program = '']) => !needProgram(program));
  // All at once: bash tries for 15 s.
  const cases = shells.flatMap((shell) => COLUMNS.map((column) => ({ shell, column })));
  const said = await Promise.all(
    cases.map(async ({ shell, column }) => {
      const command = commandFor(shell, dist, column, 'done');
      const { status } = await runAsServer('prlimit', ['--nproc=1', ...command], {
        cwd: ownedByServer(dataDirectory(column)),
      });
      return status;
    }),
  );
  expect(said).toEqual(shells.flatMap(() => [70, 200, 70]));
});

test('as the server runs it: by its name, as an unprivileged user that may write nowhere but in the data directory', async () => {
  const cwd = ownedByServer(dataDirectory('strict'));
  const env = { PATH: `${linked()}:/usr/bin:/bin`, TMPDIR: '/nonexistent' };
  const { status, stderr } = await runAsServer('/bin/sh', ['-c', `wal-fetch "done" "${PROOF}"`], { cwd, env });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
});

const canMount = spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'none', '/tmp']).status === 0;

test.runIf(canMount)('with a /tmp that nothing may be run from, and a file system that is read-only', async () => {
  const [program = '', ...args] = commandFor(['dash'], dist, 'push', 'done');
  // The copy of dist/ lies under /tmp, so it is bound to a place beside it first.
  const steps = [
    'mount --bind "$1" /mnt && mount -o remount,bind,ro /mnt',
    'mount -t tmpfs -o noexec,size=16m none /tmp',
    'mkdir -p /tmp/data/pg_wal && cd /tmp/data && shift && exec "$@"',
  ].join(' && ');
  const command = [
    'unshare',
    '--mount',
    'dash',
    '-c',
    steps,
    'dash',
    dist,
    program,
    ...args.map((arg) => arg.replace(dist, '/mnt')),
  ];
  expect((await run(command, { cwd: '/', env: { TMPDIR: '/tmp' } })).status).toBe(0);
});

test('the launchers cannot be made to end with 0 by too few descriptors', async () => {
  for (const shell of Object.values(SHELLS)) {
    if (needProgram(shell[0] ?? '')) continue;
    for (let limit = 4; limit < 12; limit += 1) {
      const cwd = dataDirectory('push');
      const command = limited(`ulimit -n ${limit}`, commandFor(shell, dist, 'push', 'done'));
      const { status } = await run(command, { cwd });
      if (!existsSync(join(cwd, PROOF))) expect(status, `${shell.join(' ')} with ${limit}`).not.toBe(0);
    }
  }
});

/** A launcher behind two links, one of them relative, far from its program. */
function linked(): string {
  const links = makeScratch('links', me());
  chmodSync(links, 0o755);
  mkdirSync(join(links, 'alternatives'));
  for (const verb of ['wal-push', 'wal-fetch']) {
    symlinkSync(join(dist, verb), join(links, 'alternatives', verb));
    symlinkSync(join('alternatives', verb), join(links, verb));
  }
  return links;
}

function ownedByServer(directory: string): string {
  const { uid, gid } = serverUser();
  for (const path of [directory, join(directory, 'pg_wal')]) chownSync(path, uid, gid);
  return directory;
}

function me(): { uid: number; gid: number } {
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
}
