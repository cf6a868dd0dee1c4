import { expect, it } from 'vitest';

import { bodyOf, noise } from '../bodies.ts';
import type { InPlace } from './place.ts';

const BYTES = 3 * 1024 * 1024 + 1;

/** What an upload is verified by: the digest as the store computed it. */
export function describeDigest(at: InPlace): void {
  it('tells the digest that the store computed', async () => {
    const body = bodyOf(noise(BYTES, 7));
    await at.storage.create('1/wal/a', body, at.deadline);
    const { digest } = await at.storage.head('1/wal/a', at.deadline);
    expect(digest).toBeDefined();
    if (digest === undefined) return;
    expect(Buffer.from(digest.value)).toEqual(Buffer.from(await body.digest(digest.algorithm)));
  });
}
