import { copyFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';

import { describe, expect, test, vi } from 'vitest';

import { FaultyStorage } from '../storage/faults.ts';
import { flip, removePath, type TestCluster } from '../harness/cluster.ts';
import { fetch, makeCluster, push, setAside, standIn } from './in-process.ts';
import { directoryStore, Failing } from './stores.ts';

// Files share what they load: what the ones before loaded knows nothing of the stand-ins.
vi.hoisted(() => {
  vi.resetModules();
});
vi.mock(import('../../src/storage/connect.ts'), async (original) => {
  const [{ connect }, { connecting }] = await Promise.all([original(), import('./in-process.ts')]);
  return { connect: connecting(connect) };
});

const NAME = '00000001000000000000002A';

interface Pair {
  readonly cluster: TestCluster;
  readonly first: string;
  readonly second: string;
}

/** A cluster with two archives; `options` are added to the second one's settings, `parts` to the rest. */
function pair(options = '', parts: Parameters<TestCluster['settings']>[0] = {}): Pair {
  const cluster = makeCluster();
  const second = cluster.makeArchive('second');
  cluster.settings({ ...parts, archives: ['', `url = "file://${second}"\n${options}`] });
  return { cluster, first: cluster.archive, second };
}

/** Makes one archive hold what the other one has not. */
function only(cluster: TestCluster, archive: string, other: string): void {
  const path = cluster.objectPath(NAME, archive);
  if (cluster.objects(archive).length === 0) {
    mkdirSync(dirname(path), { recursive: true });
    copyFileSync(cluster.objectPath(NAME, other), path);
  }
  removePath(cluster.objectPath(NAME, other));
}

describe('a push to several archives', () => {
  test('stores the file in each', async () => {
    const { cluster, first, second } = pair();
    cluster.segment(NAME);
    expect(await push(cluster, NAME)).toMatchObject({ status: 0, warnings: '' });
    expect(cluster.state(first)).toEqual(cluster.state(second));
    expect(cluster.objects(first)).toHaveLength(1);
  });

  test('is done only when all that are required have it; the message tells of each', async () => {
    const { cluster, first, second } = pair();
    cluster.segment(NAME);
    removePath(second);
    const said = await push(cluster, NAME);
    expect(said.status).toBe(69);
    expect(said.failure).toContain(`archive file://${first}: stored`);
    expect(said.failure).toContain(`archive file://${second}: `);
    expect(cluster.objects(first)).toHaveLength(1);
    mkdirSync(second);
    expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
    expect(cluster.objects(second)).toHaveLength(1);
  });

  test('is done without one that is not required, with a warning', async () => {
    const { cluster, second } = pair('required = false');
    cluster.segment(NAME);
    removePath(second);
    const said = await push(cluster, NAME);
    expect(said.status).toBe(0);
    expect(said.warnings).toContain(`file://${second}`);
    expect(said.warnings).toContain('not required');
  });

  test('never writes to one that is only read', async () => {
    const { cluster, second } = pair('mode = "fetch"');
    cluster.segment(NAME);
    expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
    cluster.walFile('00000002.history', '1\t0/2A000028\tno recovery target specified\n');
    expect(await push(cluster, '00000002.history')).toMatchObject({ status: 0 });
    expect(await setAside(cluster, NAME)).toMatchObject({ status: 0 });
    expect(cluster.objects(second)).toEqual([]);
  });

  test('is not done where one that is required hangs, though the other has it', async () => {
    const { cluster, first, second } = pair('', { top: 'deadline = "500ms"' });
    cluster.segment(NAME);
    standIn(`file://${second}`, new FaultyStorage(directoryStore(second), ['hang']));
    const said = await push(cluster, NAME);
    expect(said.status).toBe(69);
    expect(said.failure).toContain(`archive file://${first}: stored`);
    expect(cluster.objects(first)).toHaveLength(1);
  });

  test('does not wait the whole deadline for one that hangs and is not required', async () => {
    const { cluster, second } = pair('required = false', { top: 'deadline = "2s"' });
    cluster.segment(NAME);
    standIn(`file://${second}`, new FaultyStorage(directoryStore(second), ['hang']));
    const said = await push(cluster, NAME);
    expect(said.status).toBe(0);
    expect(said.warnings).toMatch(/was not done within \d+ ms/);
  });

  test.each([
    [['unreachable', 'full'], 75],
    [['unreachable', 'denied'], 77],
    [['full', 'configuration'], 64],
    [['configuration', 'denied'], 77],
    [['denied', 'corrupt'], 74],
  ] as const)('ends with the graver of %j: %i, in either order', async ([one, other], status) => {
    const { cluster, first, second } = pair();
    cluster.segment(NAME);
    for (const [left, right] of [
      [one, other],
      [other, one],
    ] as const) {
      standIn(`file://${first}`, new Failing(directoryStore(first), left));
      standIn(`file://${second}`, new Failing(directoryStore(second), right));
      const said = await push(cluster, NAME);
      expect(said.status).toBe(status);
      expect(said.failure).toContain(`archive file://${first}`);
      expect(said.failure).toContain(`archive file://${second}`);
    }
  });

  test('ends with 73 before all else, and with 65 before an archive that is away', async () => {
    const { cluster, first, second } = pair();
    cluster.segment(NAME);
    await push(cluster, NAME);
    cluster.segment(NAME, { seed: 'another' });
    standIn(`file://${first}`, new Failing(directoryStore(first), 'corrupt'));
    expect(await push(cluster, NAME)).toMatchObject({ status: 73 });
    cluster.walFile(NAME, Buffer.alloc(1024 * 1024));
    standIn(`file://${second}`, new Failing(directoryStore(second), 'unreachable'));
    expect(await push(cluster, NAME)).toMatchObject({ status: 65 });
  });

  test('says once what is wrong with the file itself', async () => {
    const { cluster } = pair();
    cluster.walFile(NAME, Buffer.alloc(1024 * 1024));
    const said = await push(cluster, NAME);
    expect(said.failure.match(/filled with zeros/g)).toHaveLength(1);
  });
});

describe('setting aside with several archives', () => {
  test('touches only the one that refused', async () => {
    const { cluster, first, second } = pair();
    const content = cluster.segment(NAME, { seed: 'theirs' });
    await push(cluster, NAME);
    rmSync(cluster.objectPath(NAME, first));
    const ours = cluster.segment(NAME);
    expect(await push(cluster, NAME)).toMatchObject({ status: 73 });
    const said = await setAside(cluster, NAME);
    expect(said.status).toBe(0);
    expect(said.out).toContain(cluster.fingerprint(content));
    expect(cluster.objects(first)).toEqual([`${cluster.systemId}/wal/0000000100000000/${NAME}`]);
    expect(cluster.objects(second)).toHaveLength(2);
    const again = await push(cluster, NAME);
    expect(again.status).toBe(0);
    expect(again.warnings).toContain('set aside');
    expect(readFileSync(cluster.asidePath(NAME, ours, second)).length).toBeGreaterThan(0);
  });

  test('does what it can where one that is not required is away', async () => {
    const { cluster, second } = pair('required = false');
    cluster.segment(NAME);
    await push(cluster, NAME);
    const ours = cluster.segment(NAME, { seed: 'ours' });
    removePath(second);
    const said = await setAside(cluster, NAME);
    expect(said.status).toBe(0);
    expect(said.warnings).toContain(`file://${second}`);
    expect(readFileSync(cluster.asidePath(NAME, ours)).length).toBeGreaterThan(0);
    expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
  });
});

describe('a fetch from several archives', () => {
  async function stored(options = ''): Promise<Pair & { content: Buffer }> {
    const made = pair(options);
    const content = made.cluster.segment(NAME);
    expect(await push(made.cluster, NAME)).toMatchObject({ status: 0 });
    return { ...made, content };
  }

  test('takes the file from the first that has it, without a word', async () => {
    const { cluster, first, second, content } = await stored();
    only(cluster, second, first);
    expect(await fetch(cluster, NAME)).toMatchObject({ status: 0, warnings: '' });
    expect(readFileSync(cluster.walPath('RECOVERYXLOG')).equals(content)).toBe(true);
  });

  test('takes it also from one that is only read', async () => {
    const { cluster, first, second } = await stored();
    only(cluster, second, first);
    cluster.settings({ archives: ['', `url = "file://${second}"\nmode = "fetch"`] });
    expect(await fetch(cluster, NAME)).toMatchObject({ status: 0 });
  });

  test.each([
    ['is corrupt', 'corrupt'],
    ['cannot be reached', 'unreachable'],
    ['denies access', 'denied'],
  ] as const)('takes it from the second where the first %s, with a warning', async (_, kind) => {
    const { cluster, first, second, content } = await stored();
    standIn(`file://${first}`, new Failing(directoryStore(first), kind));
    const said = await fetch(cluster, NAME);
    expect(said.status).toBe(0);
    expect(said.warnings).toContain(`file://${first}`);
    expect(said.warnings).toContain(`taken from archive file://${second}`);
    expect(readFileSync(cluster.walPath('RECOVERYXLOG')).equals(content)).toBe(true);
  });

  test('takes it from the second where the object in the first turns out corrupt at its end', async () => {
    const { cluster, first, content } = await stored();
    const path = cluster.objectPath(NAME, first);
    flip(path, readFileSync(path).length - 3);
    const said = await fetch(cluster, NAME);
    expect(said.status).toBe(0);
    expect(said.warnings).toContain(`file://${first}`);
    expect(readFileSync(cluster.walPath('RECOVERYXLOG')).equals(content)).toBe(true);
  });

  test('takes it from the second where no trusted key signed what the first has', async () => {
    const { cluster, first, second } = await stored();
    removePath(cluster.objectPath(NAME, second));
    cluster.settings({
      archives: [`url = "file://${second}"`],
      signing: `key_file = "${cluster.keys.signing}"\ntrusted = []`,
    });
    expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
    cluster.settings({
      archives: ['', `url = "file://${second}"`],
      signing: `key_file = "${cluster.keys.signing}"\ntrusted = []`,
    });
    const said = await fetch(cluster, NAME);
    expect(said.status).toBe(0);
    expect(said.warnings).toMatch(/no trusted key signed/);
    expect(said.warnings).toContain(`file://${first}`);
  });

  test('takes it from the second where the first hangs', async () => {
    const { cluster, first, second } = await stored();
    cluster.settings({ archives: ['', `url = "file://${second}"`], fetch: 'deadline = "3s"' });
    standIn(`file://${first}`, new FaultyStorage(directoryStore(first), ['hang']));
    const said = await fetch(cluster, NAME);
    expect(said.status).toBe(0);
    expect(said.warnings).toContain(`file://${first}`);
  });

  test('with bad keys waits for none of them', async () => {
    const { cluster, first, second } = await stored();
    for (const path of [first, second]) standIn(`file://${path}`, new FaultyStorage(directoryStore(path), ['hang']));
    removePath(cluster.keys.identity);
    const startedAt = performance.now();
    const said = await fetch(cluster, NAME);
    expect(said.status).toBe(201);
    expect(said.failure).toContain(cluster.keys.identity);
    expect(performance.now() - startedAt).toBeLessThan(10_000);
  });

  test('ends as the first that failed says, in the order of the settings', async () => {
    const { cluster, first, second } = await stored();
    for (const [kinds, status] of [
      [['denied', 'unreachable'], 203],
      [['unreachable', 'denied'], 202],
      [['corrupt', 'denied'], 204],
      [['configuration', 'corrupt'], 201],
    ] as const) {
      standIn(`file://${first}`, new Failing(directoryStore(first), kinds[0]));
      standIn(`file://${second}`, new Failing(directoryStore(second), kinds[1]));
      expect(await fetch(cluster, NAME)).toMatchObject({ status });
    }
  });

  test('never says absent while one cannot be reached, and tells how to leave it out', async () => {
    const { cluster, second } = await stored();
    removePath(second);
    const said = await fetch(cluster, '00000001000000000000002B');
    expect(said.status).toBe(202);
    expect(said.failure).toContain(`file://${second}`);
    expect(said.failure).toContain('remove its [[archive]] block');
  });

  test('never says absent while one holds nothing of the cluster', async () => {
    const { cluster, second } = await stored();
    removePath(`${second}/${cluster.systemId}`);
    const said = await fetch(cluster, '00000001000000000000002B');
    expect(said.status).toBe(201);
    expect(said.failure).toContain(`file://${second} holds nothing`);
  });
});
