import { chmodSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { beforeAll, describe, expect, test } from 'vitest';

import { builtDist } from '../harness/dist.ts';
import { flip, removePath, type Ended, type SignalFile, type TestCluster } from '../harness/cluster.ts';
import { makeCluster, push } from './in-process.ts';

const NAME = '00000001000000000000002A';
const NEXT = '00000001000000000000002B';
const AFTER_GAP = '00000001000000000000002C';
const PATH = 'pg_wal/RECOVERYXLOG';

beforeAll(async () => {
  await builtDist();
});

/** A cluster whose archive holds NAME, with these signal files. */
async function archived(...signals: SignalFile[]): Promise<TestCluster> {
  const cluster = makeCluster();
  cluster.segment(NAME);
  expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
  removePath(cluster.walPath(NAME));
  cluster.signal(...signals);
  return cluster;
}

function damage(cluster: TestCluster): void {
  flip(cluster.objectPath(NAME), readFileSync(cluster.objectPath(NAME)).length - 9);
}

function left(cluster: TestCluster): string[] {
  return readdirSync(join(cluster.dataDirectory, 'pg_wal'));
}

/** What can be wrong, and how it ends in a recovery and on a standby. */
const FAILURES: [what: string, break_: (cluster: TestCluster) => void, strict: number, standby: number][] = [
  ['no settings', (cluster) => removePath(cluster.config), 201, 64],
  ['an archive that is away', (cluster) => removePath(cluster.archive), 202, 69],
  ['a corrupt object', damage, 204, 65],
  ['no identity', (cluster) => cluster.settings({ identity: false }), 205, 78],
  [
    'an object without the signature that is demanded',
    (cluster) => cluster.settings({ signing: 'trusted = []' }),
    204,
    65,
  ],
];

describe.each(['bin', 'dist'] as const)('wal-fetch of %s/, run as the server does', (launcher) => {
  const fetch = (cluster: TestCluster, name = NAME, path = PATH): Promise<Ended> =>
    cluster.run('wal-fetch', [name, path], { launcher });

  test('brings the file, and says 1 for the one behind it', async () => {
    const cluster = await archived('recovery.signal');
    expect(await fetch(cluster)).toEqual({ status: 0, signal: null, stdout: '', stderr: '' });
    expect(left(cluster)).toEqual(['RECOVERYXLOG']);
    removePath(cluster.walPath('RECOVERYXLOG'));
    expect(await fetch(cluster, NEXT)).toEqual({ status: 1, signal: null, stdout: '', stderr: '' });
    expect(left(cluster)).toEqual([]);
  });

  test.each(FAILURES)('ends a recovery at %s, with a reason', async (_, break_, strict) => {
    const cluster = await archived('recovery.signal');
    break_(cluster);
    const ended = await fetch(cluster);
    expect(ended.status).toBe(strict);
    expect(ended.stderr).toMatch(/^wal-fetch: \S.*\n/);
    expect(left(cluster)).toEqual([]);
  });

  test.each(FAILURES)('lets a standby live with %s', async (_, break_, __, standby) => {
    const cluster = await archived('standby.signal');
    break_(cluster);
    const ended = await fetch(cluster);
    expect(ended.status).toBe(standby);
    expect(ended.stderr).toMatch(/^wal-fetch: \S.*\n/);
    expect(left(cluster)).toEqual([]);
  });
});

describe('which column counts', () => {
  const fetch = (cluster: TestCluster, name = NAME): Promise<Ended> => cluster.run('wal-fetch', [name, PATH]);

  test('both signal files: a standby; none: strict', async () => {
    const cluster = await archived('recovery.signal', 'standby.signal');
    damage(cluster);
    expect(await fetch(cluster)).toMatchObject({ status: 65 });
    removePath(join(cluster.dataDirectory, 'standby.signal'));
    expect(await fetch(cluster)).toMatchObject({ status: 204 });
    removePath(join(cluster.dataDirectory, 'recovery.signal'));
    expect(await fetch(cluster)).toMatchObject({ status: 204 });
  });

  test('a standby that is told to promote is strict, unless the settings prefer the promotion', async () => {
    const cluster = await archived('standby.signal', 'promote');
    damage(cluster);
    expect(await fetch(cluster)).toMatchObject({ status: 204 });
    cluster.settings({ fetch: 'on_promote = "promote"' });
    expect(await fetch(cluster)).toMatchObject({ status: 65 });
  });

  test('a standby asks again soon: a gap, and an archive that has nothing yet, are 1 at once', async () => {
    const cluster = await archived('standby.signal');
    cluster.segment(AFTER_GAP);
    expect(await push(cluster, AFTER_GAP)).toMatchObject({ status: 0 });
    expect(await fetch(cluster, NEXT)).toMatchObject({ status: 1, stderr: '' });
    removePath(join(cluster.archive, cluster.systemId));
    expect(await fetch(cluster, NEXT)).toMatchObject({ status: 1, stderr: '' });
  });

  test('a recovery stops at a gap', { timeout: 60_000 }, async () => {
    const cluster = await archived('recovery.signal');
    cluster.segment(AFTER_GAP);
    expect(await push(cluster, AFTER_GAP)).toMatchObject({ status: 0 });
    const ended = await fetch(cluster, NEXT);
    expect(ended.status).toBe(207);
    expect(ended.stderr).toContain(AFTER_GAP);
  });

  test('the end of a recovery is 1 whatever is wrong, and so is the history of timeline 1', async () => {
    const cluster = await archived();
    writeFileSync(cluster.config, 'broken [');
    const history = (name: string, path: string): Promise<Ended> => cluster.run('wal-fetch', [name, path]);
    expect(await history('00000002.history', 'pg_wal/RECOVERYHISTORY')).toMatchObject({ status: 1, stderr: '' });
    expect(await history('00000001.history', PATH)).toMatchObject({ status: 1 });
    expect(await history('00000002.history', PATH)).toMatchObject({ status: 201 });
    cluster.signal('recovery.signal');
    expect(await history('00000002.history', 'pg_wal/RECOVERYHISTORY')).toMatchObject({ status: 201 });
  });
});

describe('from another directory, as pg_rewind runs it', () => {
  test('an absolute path in a pg_wal names the cluster, though the archive holds several', async () => {
    const cluster = await archived();
    const other = makeCluster({ beside: cluster });
    const theirs = other.segment(NAME, { seed: 'theirs' });
    expect(await push(other, NAME)).toMatchObject({ status: 0 });
    const path = cluster.walPath(NAME);
    expect(await cluster.run('wal-fetch', [NAME, path], { cwd: '/' })).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(path).equals(theirs)).toBe(false);
    expect(
      await cluster.run('wal-fetch', ['--pgdata', other.dataDirectory, NAME, 'fetched'], { cwd: cluster.root }),
    ).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(join(cluster.root, 'fetched')).equals(theirs)).toBe(true);
  });
});

describe('as the server`s user', () => {
  const fetch = (cluster: TestCluster): Promise<Ended> => cluster.run('wal-fetch', [NAME, PATH], { asServer: true });

  test.each([
    ['recovery.signal', 203, 206],
    ['standby.signal', 77, 75],
  ] as const)(
    'with %s: an archive that denies access ends with %i, a directory that does with %i',
    async (signal, denied, unwritable) => {
      const cluster = await archived(signal);
      cluster.giveToServer();
      chmodSync(cluster.archive, 0);
      expect(await fetch(cluster)).toMatchObject({ status: denied });
      chmodSync(cluster.archive, 0o700);
      chmodSync(join(cluster.dataDirectory, 'pg_wal'), 0o500);
      expect(await fetch(cluster)).toMatchObject({ status: unwritable });
      chmodSync(join(cluster.dataDirectory, 'pg_wal'), 0o700);
      expect(await fetch(cluster)).toMatchObject({ status: 0 });
    },
  );

  test('what another user left in a shared directory does not stop a fetch', async () => {
    const cluster = await archived();
    const shared = cluster.makeArchive('shared');
    cluster.giveToServer();
    writeFileSync(join(shared, 'xlogtemp.walseal.4194303'), 'x');
    chmodSync(shared, 0o1777);
    const ended = await cluster.run('wal-fetch', [NAME, join(shared, 'fetched')], { asServer: true });
    expect(ended).toMatchObject({ status: 0, stderr: '' });
  });
});
