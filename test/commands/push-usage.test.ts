import { spawnSync } from 'node:child_process';

import { expect, test } from 'vitest';

import { call, makeCluster, push } from './in-process.ts';

const NAME = '00000001000000000000002A';

test.each([['--help'], ['-h'], ['--version']])('%s beside a path is no push: 64', async (option) => {
  const cluster = makeCluster();
  cluster.segment(NAME);
  expect(await call(['wal-push', option, cluster.walPath(NAME)])).toMatchObject({ status: 64, out: '' });
  expect(await call(['wal-push', cluster.walPath(NAME), option])).toMatchObject({ status: 64, out: '' });
  expect(await call(['wal-push', option])).toMatchObject({ status: 0 });
});

test.each([
  ['wal-fetch', '--help'],
  ['wal-prune', '-h'],
  ['wal-prune', '--version'],
])('%s %s is said alone: with more it is a wrong usage', async (verb, option) => {
  expect(await call([verb, option, 'x'])).toMatchObject({
    out: '',
    failure: expect.stringContaining(`${verb} takes`) as string,
  });
});

test('a pipe in the place of a file is refused, and not waited for: 65', async () => {
  const cluster = makeCluster();
  spawnSync('mkfifo', [cluster.walPath(NAME)]);
  expect(await push(cluster, NAME)).toMatchObject({ status: 65 });
});
