import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, it } from 'vitest';
import { Deadline } from '../../src/storage/deadline.ts';
import { StorageError, type StorageErrorKind } from '../../src/storage/errors.ts';
import { compareKeys } from '../../src/storage/order.ts';
import type { Body, ListOptions, ListedObject, Storage } from '../../src/storage/storage.ts';
import { announcing, bodyOf, collect, noise, text } from './bodies.ts';

/** An empty place of a backend, and what a suite needs to know about it. */
export interface Place {
  readonly storage: Storage;
  /** Another client of the same place. */
  another(): Promise<Storage>;
  /** A client of a place that does not exist, with what it must answer. */
  missing(): Promise<{ storage: Storage; kind: StorageErrorKind }>;
  /** Those of the special keys that the store would keep under another name: refused, and never kept so. */
  readonly refused?: readonly string[];
  /** Puts small objects there by the shortest way. */
  fill(keys: readonly string[]): Promise<void>;
  /** What an unfinished create left behind that is no object: temporary files, uploads. */
  leftovers(): Promise<readonly string[]>;
  remove(): Promise<void>;
}

const MIB = 1024 * 1024;
const SPECIAL_KEYS = [
  'plain',
  'with space',
  'percent%20and%',
  'plus+and=',
  'question?and#hash',
  'quotes\'"`',
  'brackets[](){}<>',
  'colon:semi;comma,',
  'dollar$at@and&bang!',
  'tilde~star*bar|',
  'back\\slash',
  '.leading.dot',
  'ümlaut-日本-🐘',
];

/**
 * What every backend must do, whatever it is made of. The storage is tested as `connect` gives it: with limits and
 * retries. `makeLargePlace` gives one that takes thousands of objects in a few seconds.
 */
export function describeStorage(name: string, makePlace: () => Promise<Place>, makeLargePlace = makePlace): void {
  describe(`the storage contract: ${name}`, () => {
    let place: Place;
    let storage: Storage;
    let deadline: Deadline;

    beforeEach(async () => {
      place = await makePlace();
      storage = place.storage;
      deadline = new Deadline(30_000, { what: 'the test' });
    });
    afterEach(async () => {
      deadline.close();
      storage.close();
      await place.remove();
    });

    const create = (key: string, body: Body): Promise<void> => storage.create(key, body, deadline);
    const read = async (key: string): Promise<Buffer> => collect((await storage.get(key, deadline)).bytes);
    const isAbsent = (key: string): Promise<boolean> =>
      storage.head(key, deadline).then(
        () => false,
        (error: unknown) => error instanceof StorageError && error.kind === 'absent',
      );
    const list = (prefix: string, options: ListOptions = {}): Promise<ListedObject[]> =>
      allOf(storage.list(prefix, options, deadline));
    const keys = async (prefix: string, options: ListOptions = {}): Promise<string[]> =>
      (await list(prefix, options)).map(({ key }) => key).sort(compareKeys);

    describe('create', () => {
      it('stores under an absent key, once', async () => {
        await create('1/wal/a', text('first'));
        await expect(create('1/wal/a', text('second'))).rejects.toMatchObject({ kind: 'exists' });
        expect((await read('1/wal/a')).toString()).toBe('first');
        expect(await place.leftovers()).toEqual([]);
      });

      it('says exists for the same content as well', async () => {
        await create('1/wal/a', text('same'));
        await expect(create('1/wal/a', text('same'))).rejects.toMatchObject({ kind: 'exists' });
      });

      it('lets exactly one of 50 racing writers win, whole', async () => {
        const contents = Array.from({ length: 50 }, (_, index) => noise(40_000 + index, index));
        const clients = [storage, await place.another(), await place.another()];
        const results = await Promise.allSettled(
          contents.map((bytes, index) => clientAt(clients, index).create('1/wal/race', bodyOf(bytes, 4_096), deadline)),
        );
        const winners = results.flatMap((result, index) => (result.status === 'fulfilled' ? [index] : []));
        const refusals: unknown[] = results.flatMap((result) =>
          result.status === 'rejected' ? [result.reason as unknown] : [],
        );
        expect(winners).toHaveLength(1);
        for (const reason of refusals) expect(reason).toMatchObject({ kind: 'exists' });
        const winner = contents[winners[0] ?? -1];
        expect((await read('1/wal/race')).equals(winner ?? Buffer.alloc(0))).toBe(true);
        expect(await place.leftovers()).toEqual([]);
      });

      it.each([0, 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 64 * MIB])('keeps %i bytes as they are', async (length) => {
        const bytes = noise(length, length);
        await create('1/wal/sized', bodyOf(bytes, 1_000_003));
        expect((await read('1/wal/sized')).equals(bytes)).toBe(true);
        expect(await storage.head('1/wal/sized', deadline)).toMatchObject({ size: length });
        expect((await list('1/wal/')).map(({ size }) => size)).toEqual([length]);
      });

      it.each([
        ['fewer', 9],
        ['more', 11],
      ])('refuses a body that gives %s bytes than it announced', async (_, given) => {
        const body = announcing(10, () => bodyOf(noise(given, 1), 4).open());
        await expect(create('1/wal/wrong', body)).rejects.toThrow(/10 bytes was announced/);
        expect(await isAbsent('1/wal/wrong')).toBe(true);
        await expect.poll(() => place.leftovers()).toEqual([]);
      });

      it('stores nothing when the source of the body fails half-way, and throws what the source threw', async () => {
        const failure = new Error('the file has changed');
        const body = announcing(10 * MIB, async function* () {
          yield await Promise.resolve(noise(9 * MIB, 1));
          throw failure;
        });
        await expect(create('1/wal/broken', body)).rejects.toBe(failure);
        expect(await isAbsent('1/wal/broken')).toBe(true);
        await expect.poll(() => place.leftovers()).toEqual([]);
        await create('1/wal/broken', text('the next one'));
      });

      it('stores nothing when the deadline passes half-way', async () => {
        const short = new Deadline(60_000, { what: 'the push' });
        const body = announcing(20 * MIB, async function* () {
          yield await Promise.resolve(noise(10 * MIB, 1));
          short.shorten(0);
          yield noise(10 * MIB, 1);
        });
        await expect(storage.create('1/wal/late', body, short)).rejects.toMatchObject({
          kind: 'unreachable',
          retryable: false,
        });
        await expect.poll(() => place.leftovers()).toEqual([]);
        expect(await isAbsent('1/wal/late')).toBe(true);
      });
    });

    describe('get and head', () => {
      it('tell size and time of an object', async () => {
        const before = Date.now();
        await create('1/wal/a', text('12345'));
        const head = await storage.head('1/wal/a', deadline);
        const { info, bytes } = await storage.get('1/wal/a', deadline);
        expect((await collect(bytes)).toString()).toBe('12345');
        expect(head.size).toBe(5);
        expect(info.size).toBe(5);
        expect(info.modified).toEqual(head.modified);
        expect(Math.abs(head.modified.getTime() - before)).toBeLessThan(60_000);
      });

      it('say absent for what is not there', async () => {
        await create('1/wal/a', text('1'));
        for (const key of ['1/wal/b', '1/wal/aa', '2/wal/a', 'x']) {
          await expect(storage.get(key, deadline)).rejects.toMatchObject({ kind: 'absent', retryable: false });
          await expect(storage.head(key, deadline)).rejects.toMatchObject({ kind: 'absent' });
        }
      });

      it('read one object several times at once, and let a reader stop early', async () => {
        const bytes = noise(5 * MIB, 5);
        await create('1/wal/a', bodyOf(bytes));
        const [one, two] = await Promise.all([read('1/wal/a'), read('1/wal/a')]);
        expect(one.equals(bytes) && two.equals(bytes)).toBe(true);
        const object = await storage.get('1/wal/a', deadline);
        for await (const piece of object.bytes) {
          expect(piece.length).toBeGreaterThan(0);
          break;
        }
      });
    });

    describe('list', () => {
      it('gives keys with their sizes and times', async () => {
        await create('1/wal/b', text('22'));
        const [object, ...others] = await list('1/');
        expect(others).toEqual([]);
        const { modified } = await storage.head('1/wal/b', deadline);
        expect(object).toEqual({ key: '1/wal/b', size: 2, modified });
      });

      it('keeps prefixes apart that begin alike', async () => {
        const all = ['1/wal-x/a', '1/wal/a', '1/wal/ab', '1/wal/b/a', '1/wal0', '1/wal2/a', '10/wal/a', '2/wal/a'];
        await place.fill(all);
        expect(await keys('')).toEqual(all);
        expect(await keys('1')).toEqual(all.slice(0, 7));
        expect(await keys('1/')).toEqual(all.slice(0, 6));
        expect(await keys('1/wal')).toEqual(all.slice(0, 6));
        expect(await keys('1/wal/')).toEqual(all.slice(1, 4));
        expect(await keys('1/wal/a')).toEqual(all.slice(1, 3));
        expect(await keys('1/wal/ab')).toEqual(['1/wal/ab']);
        expect(await keys('1/wal/ab/')).toEqual([]);
        expect(await keys('1/wal/c')).toEqual([]);
        expect(await keys('3/')).toEqual([]);
      });

      it('begins after a key that need not be there, for each place it can be cut at', async () => {
        const all = [
          '1/aside/z',
          '1/wal-x/b',
          '1/wal/0001/a',
          '1/wal/0001/c',
          '1/wal/0002/a',
          '1/wal/0003.h',
          '1/wal2/a',
        ];
        await place.fill(all);
        const cuts = [
          ...all,
          ...all.map((key) => key.slice(0, -1)),
          '1/wal/0001/b',
          '1/wal/0001',
          '1/wal/0001/',
          '1/wal0',
          '2',
          '',
        ];
        for (const after of cuts) {
          expect(await keys('1/', { after }), after).toEqual(all.filter((key) => compareKeys(key, after) > 0));
        }
        expect(await keys('1/wal/', { after: '1/wal/0001/c', limit: 1 })).toEqual(['1/wal/0002/a', '1/wal/0003.h']);
      });

      it('gives small pages to who looks at few objects', async () => {
        await place.fill(Array.from({ length: 30 }, (_, index) => `1/wal/${String(index)}`));
        for await (const page of storage.list('1/', { limit: 2 }, deadline)) {
          expect(page.length).toBeLessThanOrEqual(2);
          if (page.length > 0) break;
        }
        expect(await list('1/', { limit: 7 })).toHaveLength(30);
      });

      it('keeps names with special characters, and sorts by bytes', async () => {
        const { refused = [] } = place;
        for (const name of refused) {
          await expect(create(`1/wal/${name}`, text(name))).rejects.toMatchObject({ kind: 'configuration' });
        }
        const names = SPECIAL_KEYS.filter((name) => !refused.includes(name));
        for (const name of names) await create(`1/wal/${name}`, text(name));
        const sorted = names.map((name) => `1/wal/${name}`).sort(compareKeys);
        expect(await keys('1/wal/')).toEqual(sorted);
        for (const name of names) expect((await read(`1/wal/${name}`)).toString()).toBe(name);
        expect(await keys('1/wal/', { after: '1/wal/percent%20and%' })).toEqual(
          sorted.slice(sorted.indexOf('1/wal/percent%20and%') + 1),
        );
        await storage.delete(sorted, deadline);
        expect(await keys('')).toEqual([]);
      });
    });

    describe('delete', () => {
      it('deletes in batches, and again', async () => {
        const all = Array.from({ length: 25 }, (_, index) => `1/wal/${String(index).padStart(3, '0')}`);
        await place.fill([...all, '1/wal/kept']);
        await storage.delete(all, deadline);
        await storage.delete([...all, '9/never/there'], deadline);
        await storage.delete([], deadline);
        expect(await keys('')).toEqual(['1/wal/kept']);
        await create('1/wal/001', text('again'));
        expect((await read('1/wal/001')).toString()).toBe('again');
      });
    });

    it('does nothing once the deadline has passed', async () => {
      await create('1/wal/a', text('1'));
      const passed = new Deadline(0, { what: 'the test' });
      const expected = {
        kind: 'unreachable',
        retryable: false,
        message: expect.stringContaining('the test') as unknown,
      };
      await expect(storage.create('1/wal/b', text('1'), passed)).rejects.toMatchObject(expected);
      await expect(storage.get('1/wal/a', passed)).rejects.toMatchObject(expected);
      await expect(storage.head('1/wal/a', passed)).rejects.toMatchObject(expected);
      await expect(allOf(storage.list('', {}, passed))).rejects.toMatchObject(expected);
      await expect(storage.delete(['1/wal/a'], passed)).rejects.toMatchObject(expected);
      expect(await keys('')).toEqual(['1/wal/a']);
    });

    it('never calls an object absent, nor a listing empty, where the whole place is missing', async () => {
      const { storage: nowhere, kind } = await place.missing();
      await expect(nowhere.create('1/wal/a', text('1'), deadline)).rejects.toMatchObject({ kind });
      await expect(nowhere.get('1/wal/a', deadline)).rejects.toMatchObject({ kind });
      await expect(nowhere.head('1/wal/a', deadline)).rejects.toMatchObject({ kind });
      await expect(allOf(nowhere.list('', {}, deadline))).rejects.toMatchObject({ kind });
      await expect(nowhere.delete(['1/wal/a'], deadline)).rejects.toMatchObject({ kind });
      nowhere.close();
    });
  });

  describe(`the storage contract: ${name}, many objects`, () => {
    const total = 5_300;
    const all = Array.from({ length: total }, (_, index) => manyKey(index)).sort(compareKeys);
    let place: Place;
    let deadline: Deadline;

    beforeAll(async () => {
      place = await makeLargePlace();
      await place.fill(all);
      deadline = new Deadline(60_000);
    });
    afterAll(async () => {
      deadline.close();
      place.storage.close();
      await place.remove();
    });

    it('lists them all, each once, in several pages', async () => {
      let pages = 0;
      const seen: string[] = [];
      for await (const page of place.storage.list('', {}, deadline)) {
        pages += 1;
        seen.push(...page.map(({ key }) => key));
      }
      expect(seen.sort(compareKeys)).toEqual(all);
      expect(pages).toBeGreaterThan(1);
    });

    it.each([0, 999, 1_000, 2_650, total - 2, total - 1])('lists what comes after number %i', async (index) => {
      const objects = await allOf(place.storage.list('1/', { after: all[index] ?? '' }, deadline));
      expect(objects.map(({ key }) => key).sort(compareKeys)).toEqual(all.slice(index + 1));
    });

    it('deletes them all', async () => {
      await place.storage.delete(all, deadline);
      expect(await allOf(place.storage.list('', {}, deadline))).toEqual([]);
    });
  });
}

/** As segments lie: 256 to a directory. */
function manyKey(index: number): string {
  const hex = (value: number): string => value.toString(16).toUpperCase().padStart(8, '0');
  const directory = `00000001${hex(Math.floor(index / 256))}`;
  return `1/wal/${directory}/${directory}${hex(index % 256)}`;
}

async function allOf(pages: AsyncIterable<readonly ListedObject[]>): Promise<ListedObject[]> {
  const objects: ListedObject[] = [];
  for await (const page of pages) objects.push(...page);
  return objects;
}

function clientAt(clients: readonly Storage[], index: number): Storage {
  const client = clients[index % clients.length];
  if (client === undefined) throw new Error('no clients');
  return client;
}
