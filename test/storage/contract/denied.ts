import { expect, it } from 'vitest';

import { text } from '../bodies.ts';
import { allOf, offered, type InPlace } from './place.ts';

/** Whom the store refuses never learns that something is absent, or that there is nothing. */
export function describeDenied(at: InPlace): void {
  it('says denied to every call, where the store refuses the credentials', async () => {
    await at.storage.create('1/wal/a', text('1'), at.deadline);
    const stranger = await offered(at.place, 'denied');
    const denied = { kind: 'denied', retryable: false };
    for (const key of ['1/wal/a', '1/wal/b']) {
      await expect(stranger.create(key, text('2'), at.deadline)).rejects.toMatchObject(denied);
      await expect(stranger.get(key, at.deadline)).rejects.toMatchObject(denied);
      await expect(stranger.head(key, at.deadline)).rejects.toMatchObject(denied);
      await expect(stranger.delete([key], at.deadline)).rejects.toMatchObject(denied);
    }
    await expect(allOf(stranger.list('', {}, at.deadline))).rejects.toMatchObject(denied);
    stranger.close();
  });
}
