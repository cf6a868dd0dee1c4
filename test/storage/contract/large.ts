import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';

import { Deadline } from '../../../src/storage/deadline.ts';
import { generated } from '../bodies.ts';
import type { MakePlace } from './place.ts';

const MIB = 1024 * 1024;
const LARGE_MIB = 1024;

/** The largest segment that a cluster can have. It takes long: for a tier of its own. */
export function describeLargeObjects(name: string, makePlace: MakePlace): void {
  describe(`the storage contract: ${name}, a large object`, () => {
    it('keeps 1 GB as it is', async () => {
      const place = await makePlace();
      const { storage } = place;
      const deadline = new Deadline(10 * 60_000, { what: 'the test' });
      const body = generated(LARGE_MIB, 1);
      try {
        await storage.create('1/wal/large', body, deadline);
        expect((await storage.head('1/wal/large', deadline)).size).toBe(LARGE_MIB * MIB);
        const hash = createHash('sha256');
        for await (const piece of (await storage.get('1/wal/large', deadline)).bytes) hash.update(piece);
        expect(hash.digest()).toEqual(await body.digest('sha256'));
        await expect(storage.create('1/wal/large', body, deadline)).rejects.toMatchObject({ kind: 'exists' });
        expect(await place.leftovers()).toEqual([]);
      } finally {
        deadline.close();
        storage.close();
        await place.remove();
      }
    });
  });
}
