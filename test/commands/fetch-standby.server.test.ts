import { readFileSync } from 'node:fs';

import { beforeEach, expect, onTestFinished, test, vi } from 'vitest';

import { removePath, type TestCluster } from '../harness/cluster.ts';
import { FaultyStorage, type Fault } from '../storage/faults.ts';
import { fetch, makeCluster, push, standIn } from './in-process.ts';
import { directoryStore, InSmallPieces } from './stores.ts';

vi.mock(import('../../src/storage/connect.ts'), async (original) => {
  const [{ connect }, { connecting }] = await Promise.all([original(), import('./in-process.ts')]);
  return { connect: connecting(connect) };
});

const NAME = '00000001000000000000002A';
const home = process.cwd();

let cluster: TestCluster;
let content: Buffer;

/** In the data directory of a standby, as its server runs commands, with two archives that hold NAME. */
beforeEach(async () => {
  cluster = makeCluster();
  const second = cluster.makeArchive('second');
  cluster.settings({ archives: ['', `url = "file://${second}"`], fetch: 'standby_deadline = "600ms"' });
  content = cluster.segment(NAME);
  expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
  removePath(cluster.walPath(NAME));
  cluster.signal('standby.signal');
  process.chdir(cluster.dataDirectory);
  onTestFinished(() => {
    process.chdir(home);
  });
});

function faulty(archive: string, ...faults: Fault[]): void {
  standIn(`file://${archive}`, new FaultyStorage(new InSmallPieces(directoryStore(archive)), faults));
}

test.each<Fault>(['hang', 'stall'])(
  'an archive that is silent ("%s") holds a standby only for standby_deadline',
  async (fault) => {
    cluster.settings({ fetch: 'standby_deadline = "300ms"' });
    faulty(cluster.archive, fault);
    const said = await fetch(cluster, NAME);
    expect(said.status).toBe(69);
    expect(said.failure).toContain('received nothing for 300 ms');
  },
);

test.each<Fault>(['hang', 'stall'])(
  'within it the second archive is asked where the first is silent ("%s")',
  async (fault) => {
    faulty(cluster.archive, fault);
    const said = await fetch(cluster, NAME);
    expect(said.status).toBe(0);
    expect(said.warnings).toContain(`file://${cluster.archive}`);
    expect(readFileSync(cluster.walPath('RECOVERYXLOG')).equals(content)).toBe(true);
  },
);

test('that one archive says absent is not enough where the other is silent', async () => {
  faulty(cluster.archive, 'hang');
  expect(await fetch(cluster, '00000001000000000000002B')).toMatchObject({ status: 69 });
});

test('that each says absent is enough, without a listing', async () => {
  faulty(cluster.archive, 'none', 'hang');
  expect(await fetch(cluster, '00000001000000000000002B')).toMatchObject({ status: 1 });
});
