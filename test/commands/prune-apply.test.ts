/** What --apply does while stores fail, backups come, and people interrupt it. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, test, vi } from 'vitest';

import type { Deadline } from '../../src/storage/deadline.ts';
import { toLsn } from '../../src/wal/lsn.ts';
import { StorageError, type StorageErrorKind } from '../../src/storage/errors.ts';
import type { ListedObject, ListOptions } from '../../src/storage/storage.ts';
import { Life } from '../retention/life.ts';
import { FaultyStorage, type Fault } from '../storage/faults.ts';
import { call, standIn } from './in-process.ts';
import { GOING, LEFT, PrunePlace, SEGMENT, threeBackups, TOP } from './prune-place.ts';
import { Differing, directoryStore } from './stores.ts';

// Files share what they load: what the ones before loaded knows nothing of the stand-ins.
vi.hoisted(() => {
  vi.resetModules();
});
vi.mock(import('../../src/storage/connect.ts'), async (original) => {
  const [{ connect }, { connecting }] = await Promise.all([original(), import('./in-process.ts')]);
  return { connect: connecting(connect) };
});

async function made(): Promise<PrunePlace> {
  return PrunePlace.make(threeBackups().remains());
}

/** Deletes so many objects in all, and then fails; or says of the rest that it is deleted. */
class Refusing extends Differing {
  readonly batches: (readonly string[])[] = [];
  readonly #kind: StorageErrorKind | 'lies';
  #left: number;

  constructor(path: string, kind: StorageErrorKind | 'lies', left: number) {
    super(directoryStore(path));
    this.#kind = kind;
    this.#left = left;
  }

  override async delete(keys: readonly string[], deadline: Deadline): Promise<void> {
    this.batches.push(keys);
    const some = keys.slice(0, this.#left);
    this.#left -= some.length;
    await super.delete(some, deadline);
    if (some.length === keys.length || this.#kind === 'lies') return;
    throw new StorageError(this.#kind, `injected: ${this.#kind}`, { retryable: false });
  }
}

/** Does something before the second listing of a store: what comes while a prune plans. */
class Meanwhile extends Differing {
  readonly #act: () => void;
  #listings = 0;

  constructor(path: string, act: () => void) {
    super(directoryStore(path));
    this.#act = act;
  }

  override list(prefix: string, options: ListOptions, deadline: Deadline): AsyncIterable<readonly ListedObject[]> {
    this.#listings += 1;
    if (this.#listings === 2) this.#act();
    return super.list(prefix, options, deadline);
  }
}

test.each([
  ['denied', 77],
  ['unreachable', 69],
  ['full', 75],
] as const)('a deletion that is %s: what is gone is told truly, and the status is %i', async (kind, status) => {
  const place = await made();
  standIn(`file://${place.cluster.archive}`, new Refusing(place.cluster.archive, kind, 5));
  const said = await place.prune('--apply');
  expect(said.status).toBe(status);
  expect(said.failure).toContain(`injected: ${kind}`);
  expect(said.out).toMatch(/: 5 objects of \S+ kB deleted; 7 objects of \S+ kB left$/m);
  expect(place.names()).toHaveLength(LEFT.length + GOING - 5);
});

test('a store that confirms what it did not do is found out: 1', async () => {
  const place = await made();
  standIn(`file://${place.cluster.archive}`, new Refusing(place.cluster.archive, 'lies', 5));
  const said = await place.prune('--apply');
  expect(said.status).toBe(1);
  expect(said.warnings).toContain('the store has confirmed that all are deleted, and 7 objects are there');
  expect(said.out).toMatch(/: 5 objects .* left$/m);
});

test('where it can not be listed again, it is said that the store alone says so', async () => {
  const place = await made();
  const { archive } = place.cluster;
  // The inventory, the history, what is new of histories; then the deletion, and the last listing.
  const faults: Fault[] = ['none', 'none', 'none', 'none', 'none'];
  const storage = new FaultyStorage(directoryStore(archive), [
    ...faults,
    ...Array.from({ length: 20 }, (): Fault => 'refused'),
  ]);
  standIn(`file://${archive}`, storage);
  const said = await place.prune('--apply');
  expect(said.status).toBe(69);
  expect(said.out).toMatch(/: 12 objects of \S+ kB deleted, as the store says: it could not be listed again$/m);
  expect(place.names()).toEqual(LEFT);
});

test('a deletion that hangs ends with the deadline, and what was not seen is not claimed', async () => {
  const place = await made();
  place.settings({ top: `${TOP}\ndeadline = "300ms"` });
  const { archive } = place.cluster;
  standIn(
    `file://${archive}`,
    new FaultyStorage(directoryStore(archive), ['none', 'none', 'none', 'none', 'late-hang']),
  );
  const said = await place.prune('--apply');
  expect(said.status).toBe(69);
  expect(said.failure).toContain('prune received nothing for 300 ms');
  expect(said.out).toMatch(/: 0 objects of 0 bytes deleted, as the store says: .*; 12 objects of \S+ kB may be left$/m);
  expect(place.names()).toEqual(LEFT);
});

test('requests that fail for a moment, or whose answers are lost, change nothing', async () => {
  for (let seed = 1; seed <= 8; seed += 1) {
    const place = await made();
    for (const path of [place.cluster.archive, place.backups]) {
      const faults = ['refused', 'throttled', 'lost', 'slow'] as const;
      standIn(`file://${path}`, new FaultyStorage(directoryStore(path), { seed, rate: 0.3, faults }));
    }
    const said = await place.prune('--apply');
    expect(said, `seed ${seed}`).toMatchObject({ status: 0 });
    expect(place.names()).toEqual(LEFT);
  }
});

test('interrupted before the first batch, it deletes nothing and says so: 1', async () => {
  const place = await made();
  const said = await call(['wal-prune', '--config', place.cluster.config, '--apply'], { isInterrupted: () => true });
  expect(said.status).toBe(1);
  expect(said.warnings).toContain(`interrupted: ${GOING} objects that should go are left`);
  expect(place.names()).toHaveLength(LEFT.length + GOING);
});

test('it deletes a thousand objects in a request, oldest first, never over the end of a timeline; an interrupt ends it between two', async () => {
  const life = new Life(1);
  // All but the newest go.
  life.write(0, 2_302n * SEGMENT);
  life.promote(0);
  life.write(1, 1_100n * SEGMENT);
  life.wait(240);
  life.backup(1, { bytes: SEGMENT, from: 'primary', brings: false });
  const remains = life.remains();
  const place = await PrunePlace.make(remains);
  const total = place.names().length;
  const storage = new Refusing(place.cluster.archive, 'denied', Infinity);
  standIn(`file://${place.cluster.archive}`, storage);
  const isInterrupted = (): boolean => storage.batches.length === 2;
  const said = await call(['wal-prune', '--config', place.cluster.config, '--apply'], { isInterrupted });
  expect(said.status).toBe(1);
  expect(said.out).toMatch(/: 2000 objects of \S+ MB deleted; 140\d objects of \S+ MB left$/m);
  expect(place.names()).toHaveLength(total - 2_000);
  expect(await place.prune('--apply')).toMatchObject({ status: 0 });
  expect(storage.batches.map(({ length }) => length)).toEqual([1000, 1000, 301, 1000, expect.any(Number)]);
  expect(storage.batches.flat()).toEqual(storage.batches.flat().toSorted());
}, 60_000);

test('a backup that came while it planned: nothing is deleted, and it says so: 1', async () => {
  const place = await made();
  const storage = new Meanwhile(place.backups, () => {
    cpSync(join(place.backups, '1'), join(place.backups, 'late'), { recursive: true });
  });
  standIn(`file://${place.backups}`, storage);
  const said = await place.prune('--apply');
  expect(said.status).toBe(1);
  expect(said.warnings).toMatch(/\/late\/backup_manifest \(.*\) is new: what was planned is out of date/);
  expect(place.names()).toHaveLength(LEFT.length + GOING);
});

/** One backup lacks WAL, so that the backups are read twice; before the second time one comes whose WAL was not listed. */
async function withLateBackup(): Promise<PrunePlace> {
  const remains = threeBackups().remains();
  remains.objects.delete('0000000100000000000000FA');
  const place = await PrunePlace.make(remains);
  const [last] = remains.backups.slice(-1);
  if (last === undefined) throw new Error('there are three backups');
  const at = (segments: bigint) => ({ timeline: 2, lsn: toLsn(last.stop.lsn + segments * SEGMENT) });
  const [start, stop] = [at(20n), at(21n)];
  const ranges = [{ timeline: 2, start: start.lsn, end: stop.lsn }];
  const storage = new Meanwhile(place.backups, () => {
    place.putBackup({ ...last, path: 'late', start, stop, ranges });
  });
  standIn(`file://${place.backups}`, storage);
  return place;
}

test('a backup that came while the backups were read is not said to lack WAL that was not looked for', async () => {
  const place = await withLateBackup();
  const said = await place.prune();
  expect(said).toMatchObject({ status: 0, warnings: '' });
  expect(said.out).not.toContain('late');
  // Nobody comes in between now: its WAL is looked for.
  expect((await place.prune()).warnings).toMatch(/backup \S+\/late, newer than all that can be restored, can't be: /);
});

test('nor is anything deleted then, and it says why: 1', async () => {
  const place = await withLateBackup();
  const said = await place.prune('--apply');
  expect(said.status).toBe(1);
  expect(said.warnings).toMatch(/\/late\/backup_manifest \(.*\) is new: what was planned is out of date/);
  expect(place.names()).toHaveLength(LEFT.length + GOING - 1);
});

test.each([
  ['00000003.history', /00000003.history is new/],
  ['00000002.history', /00000002.history is not what it was/],
])('a history that came or changed while it planned (%s): nothing is deleted', async (name, expected) => {
  const place = await made();
  const { archive } = place.cluster;
  const known = place.cluster.objectPath('00000002.history');
  const storage = new Meanwhile(archive, () => {
    writeFileSync(place.cluster.objectPath(name), readFileSync(known));
  });
  standIn(`file://${archive}`, storage);
  const said = await place.prune('--apply');
  expect(said.status).toBe(1);
  expect(said.warnings).toMatch(expected);
  expect(place.names().filter((one) => !one.endsWith('.history'))).toHaveLength(LEFT.length - 1 + GOING);
});

test('a push while it deletes loses nothing', async () => {
  const place = await made();
  place.settings({ top: TOP });
  const { archive } = place.cluster;
  const fresh = '00000002000000010000000B';
  const storage = new Meanwhile(archive, () => {
    place.put(`${place.cluster.systemId}/wal/0000000200000001/${fresh}`, 1000);
  });
  standIn(`file://${archive}`, storage);
  expect(await place.prune('--apply')).toMatchObject({ status: 0 });
  expect(place.names()).toEqual([...LEFT, fresh]);
});
