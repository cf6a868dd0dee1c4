import { expect, test } from 'vitest';

import { table } from '../../src/report/table.ts';
import { counted, formatBytes, formatTime } from '../../src/report/units.ts';

test('columns are aligned, nothing trails, and what is missing is empty', () => {
  const lines = table(
    [{ title: 'NAME' }, { title: 'SIZE', align: 'right' }, { title: 'WHY' }],
    [['a', '1', 'short'], ['longer', '1000', ''], ['b']],
  );
  expect(lines).toEqual(['NAME    SIZE  WHY', 'a          1  short', 'longer  1000', 'b']);
});

test('a width is bounded: the middle goes', () => {
  expect(table([{ title: 'X', most: 10 }], [['abcdefghijklmnop']])).toEqual(['X', 'abcd...nop']);
});

test('no control character reaches a terminal', () => {
  expect(table([{ title: 'LABEL' }], [['a\u001b[31mb\nc\u202ed']])).toEqual(['LABEL', 'a?[31mb?c?d']);
});

test.each([
  [0, '0 bytes'],
  [1023, '1023 bytes'],
  [1024, '1 kB'],
  [1536, '1.5 kB'],
  [2 ** 20 - 1, '1 MB'],
  [2 ** 24, '16 MB'],
  [2 ** 62, '4096 PB'],
])('%i bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test('moments and numbers', () => {
  expect(formatTime(new Date('2026-11-26T10:05:48.999Z'))).toBe('2026-11-26T10:05:48Z');
  expect([counted(1, 'object'), counted(0, 'object')]).toEqual(['1 object', '0 objects']);
});
