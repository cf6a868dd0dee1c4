import { expect, test, vi } from 'vitest';

import type { TestCluster } from '../harness/cluster.ts';
import { makeCluster, push, standIn } from './in-process.ts';
import { Differing, directoryStore } from './stores.ts';

vi.mock(import('../../src/storage/connect.ts'), async (original) => {
  const [{ connect }, { connecting }] = await Promise.all([original(), import('./in-process.ts')]);
  return { connect: connecting(connect) };
});

const NAME = '00000001000000000000002A';

/** Never ends a create; `begun` runs when one begins. */
class Hanging extends Differing {
  readonly #begun: () => void;

  constructor(cluster: TestCluster, begun: () => void) {
    super(directoryStore(cluster.archive));
    this.#begun = begun;
  }

  override create(): Promise<void> {
    this.#begun();
    return new Promise(() => undefined);
  }
}

test.each([
  ['is stopping already', true],
  ['stops while the push hangs', false],
])('a push holds a server that %s up for 5 s at most', async (_, already) => {
  const cluster = makeCluster();
  cluster.segment(NAME);
  cluster.postmaster(already ? 'stopping' : 'ready');
  const store = new Hanging(cluster, () => {
    cluster.postmaster('stopping');
  });
  standIn(store.url, store);
  const said = await push(cluster, NAME);
  expect(said.status).toBe(69);
  expect(said.failure).toContain('was not done within 5 s');
});
