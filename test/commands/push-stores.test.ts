import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';

import { describe, expect, test, vi } from 'vitest';

import { FaultyStorage, type Fault } from '../storage/faults.ts';
import type { TestCluster } from '../harness/cluster.ts';
import { fetch, makeCluster, push, standIn } from './in-process.ts';
import { Differing, Digesting, directoryStore, Failing, InSmallPieces, Raced } from './stores.ts';

// Files share what they load: what the ones before loaded knows nothing of the stand-ins.
vi.hoisted(() => {
  vi.resetModules();
});
vi.mock(import('../../src/storage/connect.ts'), async (original) => {
  const [{ connect }, { connecting }] = await Promise.all([original(), import('./in-process.ts')]);
  return { connect: connecting(connect) };
});

const NAME = '00000001000000000000002A';

function faulty(cluster: TestCluster, ...faults: Fault[]): FaultyStorage {
  const storage = new FaultyStorage(new InSmallPieces(directoryStore(cluster.archive)), faults);
  standIn(storage.url, storage);
  return storage;
}

/** An object for NAME that a copy of this cluster would store there, as a file. */
async function objectOf(cluster: TestCluster, seed: string): Promise<string> {
  const copy = makeCluster({ systemId: cluster.systemId, beside: cluster });
  const archive = copy.makeArchive('elsewhere');
  copy.settings({ archives: [`url = "file://${archive}"`] });
  copy.segment(NAME, { seed });
  expect(await push(copy, NAME)).toMatchObject({ status: 0 });
  return copy.objectPath(NAME, archive);
}

describe('a lost answer is no error', () => {
  test('the object was created, and the next attempt finds it', async () => {
    const cluster = makeCluster();
    cluster.segment(NAME);
    const store = faulty(cluster, 'lost');
    expect(await push(cluster, NAME)).toMatchObject({ status: 0, warnings: '' });
    expect(store.calls.filter((call) => call.startsWith('create'))).toHaveLength(2);
    expect(cluster.objects()).toHaveLength(1);
  });

  test.each<Fault>(['refused', 'throttled', 'cut', 'lost'])('any single "%s" is survived', async (fault) => {
    for (let before = 0; before < 3; before += 1) {
      const cluster = makeCluster();
      cluster.segment(NAME);
      faulty(cluster, ...Array.from({ length: before }, (): Fault => 'none'), fault);
      expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
      expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
    }
  });
});

describe.each(['checksum', 'readback'])('where creating is not atomic, and verify = "%s"', (verify) => {
  const top = `verify = "${verify}"`;

  test('a racing writer with another content is seen: 73', async () => {
    const cluster = makeCluster({ settings: { top } });
    cluster.segment(NAME);
    const theirs = await objectOf(cluster, 'another');
    standIn(
      `file://${cluster.archive}`,
      new Raced(directoryStore(cluster.archive), () => {
        copyFileSync(theirs, cluster.objectPath(NAME));
      }),
    );
    expect(await push(cluster, NAME)).toMatchObject({ status: 73 });
    expect(readFileSync(cluster.objectPath(NAME)).equals(readFileSync(theirs))).toBe(true);
  });

  test('one with the same content, as two hosts with archive_mode = always are, does no harm: 0', async () => {
    const cluster = makeCluster({ settings: { top } });
    cluster.segment(NAME);
    const theirs = await objectOf(cluster, NAME);
    standIn(
      `file://${cluster.archive}`,
      new Raced(directoryStore(cluster.archive), () => {
        copyFileSync(theirs, cluster.objectPath(NAME));
      }),
    );
    expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
  });

  test.each([
    ['one byte is another', (bytes: Buffer) => bytes.fill(bytes[5_000] === 0 ? 1 : 0, 5_000, 5_001)],
    ['the end is missing', (bytes: Buffer) => bytes.subarray(0, bytes.length - 1)],
    ['a part is zeros', (bytes: Buffer) => bytes.fill(0, 8_192, 12_288)],
  ])('an upload that is stored wrongly is seen: %s: 74', async (_, spoil) => {
    const cluster = makeCluster({ settings: { top } });
    cluster.segment(NAME);
    standIn(
      `file://${cluster.archive}`,
      new Raced(directoryStore(cluster.archive), () => {
        writeFileSync(cluster.objectPath(NAME), spoil(readFileSync(cluster.objectPath(NAME))));
      }),
    );
    const said = await push(cluster, NAME);
    expect(said.status).toBe(74);
    expect(said.failure).toContain(`file://${cluster.archive}`);
  });

  test('an upload that is gone is seen: 74', async () => {
    const cluster = makeCluster({ settings: { top } });
    cluster.segment(NAME);
    const store = directoryStore(cluster.archive);
    class Forgetful extends Differing {
      override async create(...args: Parameters<Differing['create']>): Promise<void> {
        await super.create(...args);
        await super.delete([args[0]], args[2]);
      }
    }
    standIn(store.url, new Forgetful(store));
    expect(await push(cluster, NAME)).toMatchObject({ status: 74 });
  });
});

describe('the digest that a store computed decides', () => {
  test('without reading the object back where it is the one that was sent', async () => {
    const cluster = makeCluster();
    cluster.segment(NAME);
    class Unreadable extends Differing {
      override get(): never {
        throw new Error('nothing was to be read');
      }
    }
    const store = directoryStore(cluster.archive);
    const digesting = new Digesting(store);
    class Both extends Unreadable {
      override head(...args: Parameters<Differing['head']>): ReturnType<Differing['head']> {
        return digesting.head(...args);
      }
    }
    standIn(store.url, new Both(store));
    expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
  });

  test('and where it is another, the object itself is looked at', async () => {
    const cluster = makeCluster();
    cluster.segment(NAME);
    const store = directoryStore(cluster.archive);
    standIn(store.url, new Digesting(store, (digest) => Buffer.alloc(digest.length)));
    expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
    expect(await fetch(cluster, NAME)).toMatchObject({ status: 0 });
  });
});

describe('a store that hangs', () => {
  const VERBS: [string, Fault[], string][] = [
    ['creating', ['hang'], 'checksum'],
    ['after it created', ['late-hang'], 'checksum'],
    ['telling what it holds', ['none', 'hang'], 'checksum'],
    ['reading back', ['none', 'none', 'hang'], 'checksum'],
    ['in the middle of reading back', ['none', 'none', 'stall'], 'checksum'],
    ['reading back', ['none', 'hang'], 'readback'],
    ['in the middle of reading back', ['none', 'stall'], 'readback'],
  ];
  test.each(VERBS)('%s holds a push until its deadline: 69 (%j, verify = "%s")', async (_, faults, verify) => {
    const cluster = makeCluster({ settings: { top: `deadline = "500ms"\nverify = "${verify}"` } });
    cluster.segment(NAME);
    faulty(cluster, ...faults);
    const said = await push(cluster, NAME);
    expect(said.status).toBe(69);
    expect(said.failure).toMatch(new RegExp(`push of ${NAME} was not done within 500 ms`));
    // Later, when it answers again, the file is stored or proven identical.
    faulty(cluster);
    expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
  });
});

describe('what a store refuses has its status', () => {
  test.each([
    ['denied', 77],
    ['full', 75],
    ['unreachable', 69],
    ['throttled', 69],
    ['configuration', 64],
    ['corrupt', 74],
  ] as const)('%s: %i', async (kind, status) => {
    const cluster = makeCluster();
    cluster.segment(NAME);
    const store = directoryStore(cluster.archive);
    standIn(store.url, new Failing(store, kind));
    const said = await push(cluster, NAME);
    expect(said.status).toBe(status);
    expect(said.failure).toContain(`archive ${store.url}`);
    expect(cluster.objects()).toEqual([]);
  });
});

describe('what cannot be told does not hide what is known', () => {
  /** Knows what lies under wal/, and hangs or fails for aside/. */
  class HalfBlind extends Differing {
    readonly #failing = new Failing(this.storage, 'unreachable');

    override get(...args: Parameters<Differing['get']>): ReturnType<Differing['get']> {
      return args[0].includes('/aside/') ? this.#failing.get() : super.get(...args);
    }
  }

  test('a refused content stays refused where aside/ cannot be read: 73', async () => {
    const cluster = makeCluster();
    cluster.segment(NAME);
    await push(cluster, NAME);
    cluster.segment(NAME, { seed: 'another' });
    const store = directoryStore(cluster.archive);
    standIn(store.url, new HalfBlind(store));
    expect(await push(cluster, NAME)).toMatchObject({ status: 73 });
  });

  test('a file that is wrong stays wrong where the archive cannot be reached: 65', async () => {
    const cluster = makeCluster();
    cluster.walFile(NAME, Buffer.alloc(1024 * 1024));
    const store = directoryStore(cluster.archive);
    standIn(store.url, new Failing(store, 'unreachable'));
    expect(await push(cluster, NAME)).toMatchObject({ status: 65 });
  });
});
