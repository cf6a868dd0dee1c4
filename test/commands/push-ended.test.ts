import { existsSync, readFileSync } from 'node:fs';

import { describe, expect, test } from 'vitest';

import { MIB, type TestCluster } from '../harness/cluster.ts';
import { makeCluster, push } from './in-process.ts';

/** The segment of timeline 1 from 0/2A00000 on, 1 MB. */
const NAME = '00000001000000000000002A';

/** What a standby that followed a promotion has in its pg_wal: the history that says where timeline 1 ended. */
function follower(options: { beside?: TestCluster; end?: string } = {}): TestCluster {
  const { beside, end = '0/2A80000' } = options;
  const cluster = makeCluster(beside === undefined ? {} : { beside, systemId: beside.systemId });
  cluster.walFile('00000002.history', `1\t${end}\tno recovery target specified\n`);
  return cluster;
}

function keyOf(cluster: TestCluster, path: string): string {
  return path.slice(cluster.archive.length + 1);
}

describe('a segment of a timeline that has ended', () => {
  test('goes aside where the archive holds the whole one: the stale copy of a standby', async () => {
    const primary = makeCluster();
    primary.segment(NAME);
    await push(primary, NAME);
    const standby = follower({ beside: primary });
    const stale = standby.segment(NAME, { seed: 'only its first half' });
    const plain = readFileSync(primary.objectPath(NAME));
    const said = await push(standby, NAME);
    expect(said.status).toBe(0);
    expect(said.warnings).toContain(`${NAME} went aside: timeline 1 ended at 0/2A80000 (00000002.history)`);
    expect(standby.objects()).toContain(keyOf(standby, standby.asidePath(NAME, stale)));
    expect(readFileSync(primary.objectPath(NAME)).equals(plain)).toBe(true);
    // The server may ask again.
    const before = standby.state();
    expect(await push(standby, NAME)).toMatchObject({ status: 0 });
    expect(standby.state()).toEqual(before);
  });

  test('goes aside where the archive has nothing of that name, which stays free', async () => {
    const cluster = follower();
    const stale = cluster.segment(NAME);
    expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
    expect(cluster.objects()).toEqual([keyOf(cluster, cluster.asidePath(NAME, stale))]);
  });

  test('goes aside where it is filled with zeros: a leftover that a checkpoint marked', async () => {
    const cluster = follower();
    const zeros = cluster.walFile(NAME, Buffer.alloc(MIB));
    const said = await push(cluster, NAME);
    expect(said.status).toBe(0);
    expect(said.warnings).toContain('filled with zeros');
    expect(cluster.objects()).toEqual([keyOf(cluster, cluster.asidePath(NAME, zeros))]);
  });

  test('is proven identical, and nothing goes aside, where the archive holds exactly this', async () => {
    const cluster = makeCluster();
    cluster.segment(NAME);
    await push(cluster, NAME);
    cluster.walFile('00000002.history', '1\t0/2A80000\tno recovery target specified\n');
    const before = cluster.state();
    expect(await push(cluster, NAME)).toMatchObject({ status: 0, warnings: '' });
    expect(cluster.state()).toEqual(before);
  });

  test('goes aside where it lies wholly after the end', async () => {
    const cluster = follower({ end: '0/1000000' });
    cluster.segment(NAME);
    expect((await push(cluster, NAME)).warnings).toContain('went aside');
  });
});

describe('what has not ended is stored under its own name', () => {
  test.each([
    ['a segment before the one where the timeline ended', '0/2B80000'],
    ['the segment at whose last byte the timeline ended', '0/2B00000'],
  ])('%s', async (_, end) => {
    const cluster = follower({ end });
    cluster.segment(NAME);
    expect(await push(cluster, NAME)).toMatchObject({ status: 0, warnings: '' });
    expect(cluster.objects()).toEqual([keyOf(cluster, cluster.objectPath(NAME))]);
  });

  test('the first segment of the next timeline, which begins with the header of the old one', async () => {
    const cluster = follower();
    const next = '00000002000000000000002A';
    cluster.segment(next, { header: { timeline: 1 } });
    expect(await push(cluster, next)).toMatchObject({ status: 0, warnings: '' });
    expect(cluster.objects()).toEqual([keyOf(cluster, cluster.objectPath(next))]);
  });

  test('the .partial, .backup and .history files beside it', async () => {
    const cluster = follower();
    cluster.segment(`${NAME}.partial`);
    cluster.walFile(`${NAME}.00000028.backup`, 'START WAL LOCATION: 0/2A000028\n');
    const names = [`${NAME}.partial`, `${NAME}.00000028.backup`, '00000002.history'];
    for (const name of names) expect(await push(cluster, name)).toMatchObject({ status: 0, warnings: '' });
    expect(cluster.objects()).toEqual(names.map((name) => keyOf(cluster, cluster.objectPath(name))).sort());
  });

  test('a segment beside a history file that cannot be read as one', async () => {
    const cluster = makeCluster();
    cluster.walFile('00000002.history', 'this is no history\n');
    cluster.segment(NAME);
    expect(await push(cluster, NAME)).toMatchObject({ status: 0, warnings: '' });
  });
});

test('a wrong file of a timeline that goes on is refused, not set aside', async () => {
  const cluster = follower({ end: '0/2B80000' });
  cluster.walFile(NAME, Buffer.alloc(MIB));
  expect(await push(cluster, NAME)).toMatchObject({ status: 65 });
  expect(cluster.objects()).toEqual([]);
});

test('a truncated file of a timeline that ended goes aside: pg_control tells where it lies', async () => {
  const cluster = follower();
  const stub = cluster.walFile(NAME, cluster.segment(NAME).subarray(0, 3 * 8192));
  expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
  expect(existsSync(cluster.asidePath(NAME, stub))).toBe(true);
});
