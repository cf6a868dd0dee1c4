import { readFileSync, writeFileSync } from 'node:fs';

import { describe, expect, test } from 'vitest';

import { flip, MIB, type TestCluster } from '../harness/cluster.ts';
import { fetch, makeCluster, push, setAside } from './in-process.ts';

const NAME = '00000001000000000000002A';

/** A cluster whose push was refused with 73. */
async function refused(): Promise<{ cluster: TestCluster; theirs: Buffer; ours: Buffer }> {
  const cluster = makeCluster();
  const theirs = cluster.segment(NAME, { seed: 'theirs' });
  await push(cluster, NAME);
  const ours = cluster.segment(NAME, { seed: 'ours' });
  expect(await push(cluster, NAME)).toMatchObject({ status: 73 });
  return { cluster, theirs, ours };
}

describe('after a 73', () => {
  test('shows both files and keeps ours beside what is there', async () => {
    const { cluster, theirs, ours } = await refused();
    const plain = readFileSync(cluster.objectPath(NAME));
    const said = await setAside(cluster, NAME);
    expect(said).toMatchObject({ status: 0, warnings: '' });
    expect(said.out).toContain(cluster.fingerprint(theirs));
    expect(said.out).toContain(cluster.fingerprint(ours));
    expect(said.out).toContain('a push of exactly this content now succeeds');
    expect(readFileSync(cluster.objectPath(NAME)).equals(plain)).toBe(true);
    expect(cluster.objects()).toHaveLength(2);
    expect(readFileSync(cluster.asidePath(NAME, ours)).length).toBeGreaterThan(0);
  });

  test('the next push of exactly this content succeeds with a warning, and stores nothing more', async () => {
    const { cluster } = await refused();
    await setAside(cluster, NAME);
    const before = cluster.state();
    const said = await push(cluster, NAME);
    expect(said.status).toBe(0);
    expect(said.warnings).toContain(`${NAME} was set aside`);
    expect(cluster.state()).toEqual(before);
  });

  test('a push of any other content is refused as before', async () => {
    const { cluster } = await refused();
    await setAside(cluster, NAME);
    cluster.segment(NAME, { seed: 'a third one' });
    expect(await push(cluster, NAME)).toMatchObject({ status: 73 });
  });

  test('said twice it does nothing more', async () => {
    const { cluster } = await refused();
    await setAside(cluster, NAME);
    const before = cluster.state();
    const said = await setAside(cluster, NAME);
    expect(said.status).toBe(0);
    expect(said.out).toContain('was kept already');
    expect(cluster.state()).toEqual(before);
  });

  test('a fetch still gets the file that was there first', async () => {
    const { cluster, theirs } = await refused();
    await setAside(cluster, NAME);
    expect(await fetch(cluster, NAME)).toMatchObject({ status: 0 });
    expect(readFileSync(cluster.walPath('RECOVERYXLOG')).equals(theirs)).toBe(true);
  });

  test('a copy under aside/ that is damaged does not count', async () => {
    const { cluster, ours } = await refused();
    await setAside(cluster, NAME);
    const path = cluster.asidePath(NAME, ours);
    flip(path, readFileSync(path).length - 5);
    expect(await push(cluster, NAME)).toMatchObject({ status: 73 });
    expect(await setAside(cluster, NAME)).toMatchObject({ status: 74 });
  });

  test('with --json both sides are told in JSON', async () => {
    const { cluster, theirs, ours } = await refused();
    const said = await setAside(cluster, NAME, '--json');
    expect(JSON.parse(said.out)).toMatchObject({
      here: { path: cluster.walPath(NAME), bytes: MIB, fingerprint: cluster.fingerprint(ours) },
      archives: [
        {
          url: `file://${cluster.archive}`,
          holds: 'different',
          fingerprint: cluster.fingerprint(theirs),
          aside: cluster.asidePath(NAME, ours).slice(cluster.archive.length + 1),
        },
      ],
    });
  });
});

test('after a 73 for want of a trusted signature it keeps a signed copy', async () => {
  const cluster = makeCluster();
  cluster.segment(NAME);
  await push(cluster, NAME);
  cluster.settings({ signing: `key_file = "${cluster.keys.signing}"\ntrusted = []` });
  expect(await push(cluster, NAME)).toMatchObject({ status: 73 });
  const said = await setAside(cluster, NAME);
  expect(said.status).toBe(0);
  expect(said.out).toContain('no trusted key signed it');
  expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
});

test('after a 65 it keeps the file as it is, and the plain name stays free', async () => {
  const cluster = makeCluster();
  const zeros = cluster.walFile(NAME, Buffer.alloc(MIB));
  expect(await push(cluster, NAME)).toMatchObject({ status: 65 });
  const said = await setAside(cluster, NAME);
  expect(said.status).toBe(0);
  expect(said.out).toContain('filled with zeros');
  expect(said.out).toContain('no object of that name');
  expect(cluster.objects()).toEqual([cluster.asidePath(NAME, zeros).slice(cluster.archive.length + 1)]);
  const again = await push(cluster, NAME);
  expect(again.status).toBe(0);
  expect(again.warnings).toContain('set aside');
  cluster.segment(NAME);
  expect(await push(cluster, NAME)).toMatchObject({ status: 0, warnings: '' });
});

test.each([
  ['is not in the archive', async () => undefined],
  ['is there already', async (cluster: TestCluster) => push(cluster, NAME)],
])('a file that %s needs no setting aside', async (_, prepare) => {
  const cluster = makeCluster();
  cluster.segment(NAME);
  await prepare(cluster);
  const before = cluster.state();
  const said = await setAside(cluster, NAME);
  expect(said.status).toBe(0);
  expect(said.out).toContain('nothing to set aside');
  expect(cluster.state()).toEqual(before);
});

test('a corrupt object in the place is told, and not taken for success', async () => {
  const cluster = makeCluster();
  cluster.segment(NAME);
  await push(cluster, NAME);
  writeFileSync(cluster.objectPath(NAME), 'garbage');
  const said = await setAside(cluster, NAME);
  expect(said.status).toBe(1);
  expect(said.out).toContain('corrupt');
  expect(said.out).not.toContain('succeeds');
});
