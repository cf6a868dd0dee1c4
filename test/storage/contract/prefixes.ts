import { describe, expect, it } from 'vitest';

import { parseArchiveUrl } from '../../../src/settings/url.ts';
import { text } from '../bodies.ts';
import { keysOf, offered, readAll, type InPlace } from './place.ts';

/** Between them, every character that settings/url.ts lets into the prefix of a bucket's URL, at every place. */
const PREFIXES = [
  'plain',
  'deep/er/still',
  ` !"$&'()*+,-.`,
  ':;<=>@[]^_`{|}~',
  'a+b=c&d e',
  'UPPER/lower/UPPER',
  '..a/...b/.c',
  'ümlaut-日本-🐘',
  'NFC-\u00e9/NFD-e\u0301',
  'nbsp-\u00a0/line-\u2028/bom-\ufeff',
  '\'quoted\'/"twice"/(1)',
  '${dollar}/{brace}/$(paren)',
];

/** What a prefix holds is in the archive, whatever characters it has, and nothing of what begins alike is. */
export function describePrefixes(at: InPlace): void {
  describe('an archive below a prefix', () => {
    it.each(PREFIXES)('%j holds its own objects alone', async (prefix) => {
      expect(parseArchiveUrl(`s3://bucket/${prefix}`).url).toBe(`s3://bucket/${prefix}`);
      const { place, deadline } = at;
      const inside = await offered(place, 'atPrefix', prefix);
      const beside = await offered(place, 'atPrefix', `${prefix}x`);
      await inside.create('1/wal/a', text('inside'), deadline);
      await beside.create('1/wal/a', text('beside'), deadline);
      await expect(inside.create('1/wal/a', text('again'), deadline)).rejects.toMatchObject({ kind: 'exists' });
      await inside.create('1/wal/b', text('second'), deadline);
      expect((await readAll(inside, '1/wal/a', deadline)).toString()).toBe('inside');
      expect(await inside.head('1/wal/b', deadline)).toMatchObject({ size: 6 });
      expect(await keysOf(inside, '', deadline)).toEqual(['1/wal/a', '1/wal/b']);
      expect(await keysOf(inside, '1/', deadline, { after: '1/wal/a' })).toEqual(['1/wal/b']);
      expect(await keysOf(at.storage, `${prefix}/1/`, deadline)).toEqual([`${prefix}/1/wal/a`, `${prefix}/1/wal/b`]);
      await inside.delete(['1/wal/a', '1/wal/b'], deadline);
      expect(await keysOf(inside, '', deadline)).toEqual([]);
      expect((await readAll(beside, '1/wal/a', deadline)).toString()).toBe('beside');
      inside.close();
      beside.close();
    });
  });
}
