import fc from 'fast-check';
import { expect, test } from 'vitest';

import { parseDuration } from '../../src/settings/units.ts';

test('a duration is a whole number and its unit', () => {
  expect(['250ms', '60s', '5m', '12h', '7d', '0s'].map(parseDuration)).toEqual([
    250, 60_000, 300_000, 43_200_000, 604_800_000, 0,
  ]);
});

test.each([
  '',
  '60',
  's',
  '-1s',
  '+1s',
  '1.5h',
  '1 s',
  ' 1s',
  '1s ',
  '1S',
  '1w',
  '1m30s',
  '1e3s',
  '٣s',
  '99999999999999d',
])('%j is no duration', (text) => {
  expect(parseDuration(text)).toBeUndefined();
});

test('every unit is a multiple of the smaller ones', () => {
  fc.assert(
    fc.property(fc.nat(1000), (count) => {
      const ms = (unit: string) => parseDuration(`${String(count)}${unit}`) ?? Number.NaN;
      expect([ms('s'), ms('m'), ms('h'), ms('d')]).toEqual(
        [1000, 60_000, 3_600_000, 86_400_000].map((each) => each * ms('ms')),
      );
    }),
  );
});
