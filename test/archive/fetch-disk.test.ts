import { expect, onTestFinished, test } from 'vitest';

import { openArchives } from '../../src/archive/archives.ts';
import { fetchFirst, type Landing } from '../../src/archive/fetch.ts';
import { loadOpenKeys } from '../../src/archive/keyring.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { Deadline } from '../../src/storage/deadline.ts';
import { makeCluster, push } from '../commands/in-process.ts';
import { requireName } from '../harness/cluster.ts';

const NAME = '00000001000000000000002A';
const SHORT_MS = 300;

const never = (): Promise<never> => new Promise(() => undefined);
const atOnce = (): Promise<void> => Promise.resolve();

test.each<readonly [string, Landing]>([
  ['that never takes the bytes', { restart: atOnce, write: never }],
  ['that never makes the file', { restart: never, write: atOnce }],
])('a disk here %s is held against the deadline', async (_, landing) => {
  const cluster = makeCluster();
  cluster.segment(NAME);
  expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
  const settings = await loadSettings(cluster.config, {});
  const deadline = new Deadline(SHORT_MS, { what: 'this test' });
  onTestFinished(() => {
    deadline.close();
  });
  const wanted = { name: requireName(NAME), systemId: cluster.systemId };
  const archives = await openArchives(settings.archives);
  const { found, failures } = await fetchFirst(archives, wanted, loadOpenKeys(settings), landing, deadline);
  expect(found).toBeUndefined();
  expect(failures).toMatchObject([{ failure: { kind: 'unreachable' } }]);
  expect(failures[0]?.failure.message).toContain('this test was not done within 300 ms');
});
