import { describe, expect, it } from 'vitest';
import { Deadline } from '../../src/storage/deadline.ts';
import { StorageError } from '../../src/storage/errors.ts';
import { compareKeys } from '../../src/storage/order.ts';
import type { Body, ListOptions, ListedObject } from '../../src/storage/storage.ts';
import { announcing, bodyOf, collect, noise, text } from './bodies.ts';
import { describeDenied } from './contract/denied.ts';
import { describeDigest } from './contract/digest.ts';
import { describeManyObjects } from './contract/many.ts';
import { describePrefixes } from './contract/prefixes.ts';
import { describeRaces } from './contract/races.ts';
import { allOf, keysOf, readAll, usePlace, type MakePlace, type SuiteOptions } from './contract/place.ts';

export type { Place } from './contract/place.ts';

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

/** What every backend must do, whatever it is made of. The storage is tested as `connect` gives it: with limits and retries. */
export function describeStorage(name: string, makePlace: MakePlace, options: SuiteOptions = {}): void {
  const { lacking = [], makeLargePlace = makePlace } = options;
  describe(`the storage contract: ${name}`, () => {
    const at = usePlace(makePlace);
    const create = (key: string, body: Body): Promise<void> => at.storage.create(key, body, at.deadline);
    const read = (key: string): Promise<Buffer> => readAll(at.storage, key, at.deadline);
    const isAbsent = (key: string): Promise<boolean> =>
      at.storage.head(key, at.deadline).then(
        () => false,
        (error: unknown) => error instanceof StorageError && error.kind === 'absent',
      );
    const list = (prefix: string, options: ListOptions = {}): Promise<ListedObject[]> =>
      allOf(at.storage.list(prefix, options, at.deadline));
    const keys = (prefix: string, options: ListOptions = {}): Promise<string[]> =>
      keysOf(at.storage, prefix, at.deadline, options);

    describe('create', () => {
      it('stores under an absent key, once', async () => {
        await create('1/wal/a', text('first'));
        await expect(create('1/wal/a', text('second'))).rejects.toMatchObject({ kind: 'exists' });
        expect((await read('1/wal/a')).toString()).toBe('first');
        expect(await at.place.leftovers()).toEqual([]);
      });

      it('says exists for the same content as well', async () => {
        await create('1/wal/a', text('same'));
        await expect(create('1/wal/a', text('same'))).rejects.toMatchObject({ kind: 'exists' });
      });

      it.each([0, 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 64 * MIB])('keeps %i bytes as they are', async (length) => {
        const bytes = noise(length, length);
        await create('1/wal/sized', bodyOf(bytes, 1_000_003));
        expect((await read('1/wal/sized')).equals(bytes)).toBe(true);
        expect(await at.storage.head('1/wal/sized', at.deadline)).toMatchObject({ size: length });
        expect((await list('1/wal/')).map(({ size }) => size)).toEqual([length]);
      });

      it.each([
        ['fewer', 9],
        ['more', 11],
      ])('refuses a body that gives %s bytes than it announced', async (_, given) => {
        const body = announcing(10, () => bodyOf(noise(given, 1), 4).open());
        await expect(create('1/wal/wrong', body)).rejects.toThrow(/10 bytes was announced/);
        expect(await isAbsent('1/wal/wrong')).toBe(true);
        await expect.poll(() => at.place.leftovers()).toEqual([]);
      });

      it('stores nothing when the source of the body fails half-way, and throws what the source threw', async () => {
        const failure = new Error('the file has changed');
        const body = announcing(10 * MIB, async function* () {
          yield await Promise.resolve(noise(9 * MIB, 1));
          throw failure;
        });
        await expect(create('1/wal/broken', body)).rejects.toBe(failure);
        expect(await isAbsent('1/wal/broken')).toBe(true);
        await expect.poll(() => at.place.leftovers()).toEqual([]);
        await create('1/wal/broken', text('the next one'));
      });

      it('stores nothing when the deadline passes half-way', async () => {
        const short = new Deadline(60_000, { what: 'the push' });
        const body = announcing(20 * MIB, async function* () {
          yield await Promise.resolve(noise(10 * MIB, 1));
          short.shorten(0);
          yield noise(10 * MIB, 1);
        });
        await expect(at.storage.create('1/wal/late', body, short)).rejects.toMatchObject({
          kind: 'unreachable',
          retryable: false,
        });
        await expect.poll(() => at.place.leftovers()).toEqual([]);
        expect(await isAbsent('1/wal/late')).toBe(true);
      });
    });

    describe('get and head', () => {
      it('tell size and time of an object', async () => {
        const before = Date.now();
        await create('1/wal/a', text('12345'));
        const head = await at.storage.head('1/wal/a', at.deadline);
        const { info, bytes } = await at.storage.get('1/wal/a', at.deadline);
        expect((await collect(bytes)).toString()).toBe('12345');
        expect(head.size).toBe(5);
        expect(info.size).toBe(5);
        expect(info.modified).toEqual(head.modified);
        expect(Math.abs(head.modified.getTime() - before)).toBeLessThan(60_000);
      });

      it('say absent for what is not there', async () => {
        await create('1/wal/a', text('1'));
        for (const key of ['1/wal/b', '1/wal/aa', '2/wal/a', 'x']) {
          await expect(at.storage.get(key, at.deadline)).rejects.toMatchObject({ kind: 'absent', retryable: false });
          await expect(at.storage.head(key, at.deadline)).rejects.toMatchObject({ kind: 'absent' });
        }
      });

      it('read one object several times at once, and let a reader stop early', async () => {
        const bytes = noise(5 * MIB, 5);
        await create('1/wal/a', bodyOf(bytes));
        const [one, two] = await Promise.all([read('1/wal/a'), read('1/wal/a')]);
        expect(one.equals(bytes) && two.equals(bytes)).toBe(true);
        const object = await at.storage.get('1/wal/a', at.deadline);
        for await (const piece of object.bytes) {
          expect(piece.length).toBeGreaterThan(0);
          break;
        }
      });
    });

    it('ends a body whose deadline passes while it is read', async () => {
      const bytes = noise(20 * MIB, 1);
      await create('1/wal/a', bodyOf(bytes));
      const short = new Deadline(60_000, { what: 'the fetch' });
      const late = async (): Promise<void> => {
        let length = 0;
        for await (const piece of (await at.storage.get('1/wal/a', short)).bytes) {
          length += piece.length;
          expect(length).toBeLessThan(bytes.length);
          short.shorten(0);
        }
      };
      await expect(late()).rejects.toMatchObject({
        kind: 'unreachable',
        retryable: false,
        message: expect.stringContaining('the fetch was not done within') as unknown,
      });
      expect((await read('1/wal/a')).equals(bytes)).toBe(true);
    });

    describe('list', () => {
      it('gives keys with their sizes and times', async () => {
        await create('1/wal/b', text('22'));
        const [object, ...others] = await list('1/');
        expect(others).toEqual([]);
        const { modified } = await at.storage.head('1/wal/b', at.deadline);
        expect(object).toEqual({ key: '1/wal/b', size: 2, modified });
      });

      it('keeps prefixes apart that begin alike', async () => {
        const all = ['1/wal-x/a', '1/wal/a', '1/wal/ab', '1/wal/b/a', '1/wal0', '1/wal2/a', '10/wal/a', '2/wal/a'];
        await at.place.fill(all);
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
        await at.place.fill(all);
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
        await at.place.fill(Array.from({ length: 30 }, (_, index) => `1/wal/${String(index)}`));
        for await (const page of at.storage.list('1/', { limit: 2 }, at.deadline)) {
          expect(page.length).toBeLessThanOrEqual(2);
          if (page.length > 0) break;
        }
        expect(await list('1/', { limit: 7 })).toHaveLength(30);
      });

      it('keeps names with special characters, and sorts by bytes', async () => {
        const { refused = [] } = at.place;
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
        await at.storage.delete(sorted, at.deadline);
        expect(await keys('')).toEqual([]);
      });
    });

    describe('delete', () => {
      it('deletes in batches, and again', async () => {
        const all = Array.from({ length: 25 }, (_, index) => `1/wal/${String(index).padStart(3, '0')}`);
        await at.place.fill([...all, '1/wal/kept']);
        await at.storage.delete(all, at.deadline);
        await at.storage.delete([...all, '9/never/there'], at.deadline);
        await at.storage.delete([], at.deadline);
        expect(await keys('')).toEqual(['1/wal/kept']);
        await create('1/wal/001', text('again'));
        expect((await read('1/wal/001')).toString()).toBe('again');
      });
    });

    describeRaces(at, lacking);
    if (!lacking.includes('atPrefix')) describePrefixes(at);
    if (!lacking.includes('denied')) describeDenied(at);
    if (!lacking.includes('digest')) describeDigest(at);

    it('does nothing once the deadline has passed', async () => {
      await create('1/wal/a', text('1'));
      const passed = new Deadline(0, { what: 'the test' });
      const expected = {
        kind: 'unreachable',
        retryable: false,
        message: expect.stringContaining('the test') as unknown,
      };
      await expect(at.storage.create('1/wal/b', text('1'), passed)).rejects.toMatchObject(expected);
      await expect(at.storage.get('1/wal/a', passed)).rejects.toMatchObject(expected);
      await expect(at.storage.head('1/wal/a', passed)).rejects.toMatchObject(expected);
      await expect(allOf(at.storage.list('', {}, passed))).rejects.toMatchObject(expected);
      await expect(at.storage.delete(['1/wal/a'], passed)).rejects.toMatchObject(expected);
      expect(await keys('')).toEqual(['1/wal/a']);
    });

    it('never calls an object absent, nor a listing empty, where the whole place is missing', async () => {
      const { storage: nowhere, kind } = await at.place.missing();
      await expect(nowhere.create('1/wal/a', text('1'), at.deadline)).rejects.toMatchObject({ kind });
      await expect(nowhere.get('1/wal/a', at.deadline)).rejects.toMatchObject({ kind });
      await expect(nowhere.head('1/wal/a', at.deadline)).rejects.toMatchObject({ kind });
      await expect(allOf(nowhere.list('', {}, at.deadline))).rejects.toMatchObject({ kind });
      await expect(nowhere.delete(['1/wal/a'], at.deadline)).rejects.toMatchObject({ kind });
      nowhere.close();
    });
  });

  describeManyObjects(name, makeLargePlace);
}
