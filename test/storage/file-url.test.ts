import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { directoryOf } from '../../src/storage/file/url.ts';
import { anyCharacter } from '../harness/arbitraries.ts';

describe('a file URL', () => {
  it.each([
    ['file:///archive', '/archive'],
    ['file:///archive/', '/archive'],
    ['file://localhost/mnt//wal', '/mnt/wal'],
    ['FILE://LOCALHOST/a', '/a'],
    ['file:///with%20space/%25/%3F%23', '/with space/%/?#'],
    ['file:///as it is/+&=~\'"', '/as it is/+&=~\'"'],
    ['file:///%C3%A9/é', '/é/é'],
    ['file:///back%5Cslash\\too', '/back\\slash\\too'],
    ['file:///..a/b..', '/..a/b..'],
  ])('%s names %s', (url, path) => {
    expect(directoryOf(url)).toBe(path);
  });

  it.each([
    'file://server/share',
    'file://',
    'file:///',
    'file:/archive',
    '/archive',
    's3://bucket/a',
    'file:///a?b',
    'file:///a#b',
    'file:///a/../b',
    'file:///a/%2e%2e/b',
    'file:///a%2Fb',
    'file:///a%00b',
    'file:///a%zz',
    'file:///a%ff',
  ])('%s names none', (url) => {
    expect(() => directoryOf(url)).toThrow(expect.objectContaining({ kind: 'configuration' }) as Error);
  });

  it('gives back any name that was encoded', () => {
    const part = fc
      .string({ unit: anyCharacter, minLength: 1, maxLength: 12 })
      .filter((name) => !/^\.\.?$|[/\0]/.test(name));
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), (parts) => {
        expect(directoryOf(`file:///${parts.map(encodeURIComponent).join('/')}`)).toBe(`/${parts.join('/')}`);
      }),
      { numRuns: 200 },
    );
  });
});
