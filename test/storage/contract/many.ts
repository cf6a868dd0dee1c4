import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { Deadline } from '../../../src/storage/deadline.ts';
import { compareKeys } from '../../../src/storage/order.ts';
import { keysOf, type MakePlace, type Place } from './place.ts';

/** More than a page of any store has. */
const TOTAL = 5_300;
/** A page of some stores, and the most keys that one request deletes in S3. */
const PAGE = 1_000;

/** Listings of several pages, and more deletions than a request can name. */
export function describeManyObjects(name: string, makePlace: MakePlace): void {
  describe(`the storage contract: ${name}, many objects`, () => {
    const all = Array.from({ length: TOTAL }, (_, index) => manyKey(index)).sort(compareKeys);
    let place: Place;
    let deadline: Deadline;

    beforeAll(async () => {
      place = await makePlace();
      await place.fill(all);
    });
    afterAll(async () => {
      place.storage.close();
      await place.remove();
    });
    beforeEach(() => {
      deadline = new Deadline(110_000, { what: 'the test' });
    });
    afterEach(() => {
      deadline.close();
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

    it.each([PAGE - 1, PAGE, Math.floor(TOTAL / 2), TOTAL - 2, TOTAL - 1])(
      'lists what comes after number %i',
      async (index) => {
        const after = all[index] ?? '';
        expect(await keysOf(place.storage, '1/', deadline, { after })).toEqual(all.slice(index + 1));
      },
    );

    it('deletes more of them than one request can name, and no other', async () => {
      const count = PAGE + PAGE / 10;
      await place.storage.delete(all.slice(0, count), deadline);
      expect(await keysOf(place.storage, '', deadline)).toEqual(all.slice(count));
    });
  });
}

/** As segments lie: 256 to a directory. */
function manyKey(index: number): string {
  const hex = (value: number): string => value.toString(16).toUpperCase().padStart(8, '0');
  const directory = `00000001${hex(Math.floor(index / 256))}`;
  return `1/wal/${directory}/${directory}${hex(index % 256)}`;
}
