import fc from 'fast-check';
import { expect, it } from 'vitest';
import { anyCharacter } from '../harness/arbitraries.ts';
import { compareKeys } from '../../src/storage/order.ts';

it('orders keys as their UTF-8 bytes are ordered', () => {
  const wellFormed = fc.string({ unit: anyCharacter });
  fc.assert(
    fc.property(wellFormed, wellFormed, fc.string({ unit: anyCharacter, maxLength: 3 }), (a, b, start) => {
      const [one, two] = [start + a, start + b];
      expect(Math.sign(compareKeys(one, two))).toBe(Buffer.compare(Buffer.from(one), Buffer.from(two)));
    }),
  );
});

it('puts the highest characters last', () => {
  expect(['\u{1f418}', '\uffee', 'z', 'a/b', 'a-b', 'a'].sort(compareKeys)).toEqual([
    'a',
    'a-b',
    'a/b',
    'z',
    '\uffee',
    '\u{1f418}',
  ]);
});
