import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { WalFormatError } from '../../src/wal/error.ts';
import { parseHistory } from '../../src/wal/history.ts';
import { formatLsn } from '../../src/wal/lsn.ts';
import { anyLsn, anyTimeline } from './arbitraries.ts';

describe('a history', () => {
  test('names the ancestors, oldest first, and where each was left', () => {
    expect(
      parseHistory('1\t0/3000000\tno recovery target specified\n\n2\t1/A0\tbefore 2026-01-01 00:00:00+00\n\n'),
    ).toEqual([
      { timeline: 1, end: 0x3000000n, reason: 'no recovery target specified' },
      { timeline: 2, end: 0x1_0000_00a0n, reason: 'before 2026-01-01 00:00:00+00' },
    ]);
  });

  test('may be empty, or hold comments and blank lines only', () => {
    expect(parseHistory('')).toEqual([]);
    expect(parseHistory('# comment\n\n  \t\n   # another\n')).toEqual([]);
  });

  test('is read as sscanf reads it: spaces for tabs, either case, padding, no reason, no final newline', () => {
    expect(parseHistory('  1 0/0300000a')).toEqual([{ timeline: 1, end: 0x300000an, reason: '' }]);
    expect(parseHistory('1\t0/3000000\tmoved\r\n')).toEqual([{ timeline: 1, end: 0x3000000n, reason: 'moved' }]);
    expect(parseHistory('1\t0/3000000why\n')).toEqual([{ timeline: 1, end: 0x3000000n, reason: 'why' }]);
  });

  test('may quote a restore point whose name has several lines', () => {
    const text =
      '1\t0/3000000\tat restore point "two\nlines\n\n# three"\n\n2\t0/4000000\tno recovery target specified\n';
    expect(parseHistory(text)).toEqual([
      { timeline: 1, end: 0x3000000n, reason: 'at restore point "two\nlines\n\n# three"' },
      { timeline: 2, end: 0x4000000n, reason: 'no recovery target specified' },
    ]);
  });

  test('never hides an entry that the server would see in such a name', () => {
    const text = '1\t0/3000000\tat restore point "a\n2\t0/4000000\tb"\n';
    expect(parseHistory(text).map((entry) => entry.timeline)).toEqual([1, 2]);
  });

  test.each([
    ['a line of words', 'garbage\n'],
    ['a line of words below another reason', '1\t0/3000000\tno recovery target specified\ngarbage\n'],
    ['a timeline without a position', '1\n'],
    ['half a position', '1\t0\treason\n'],
    ['a position that is too long', '1\t0/123456789\treason\n'],
    ['timeline 0', '0\t0/3000000\treason\n'],
    ['a timeline of 33 bits', '4294967296\t0/3000000\treason\n'],
    ['a negative timeline', '-1\t0/3000000\treason\n'],
    ['the same timeline twice', '1\t0/3000000\ta\n1\t0/4000000\tb\n'],
    ['a descending timeline', '2\t0/3000000\ta\n1\t0/4000000\tb\n'],
    ['bytes of a lost block', '\0\0\0\0'],
  ])('with %s is refused', (_, text) => {
    expect(() => parseHistory(text)).toThrow(WalFormatError);
  });

  test('is read as the server wrote it', () => {
    const reason = fc.constantFrom(
      'no recovery target specified',
      'reached consistency',
      'after LSN 0/3000000\n',
      'before 2026-11-21 06:03:40.83785+00\n',
      'before transaction 735',
      'at restore point "release 7"',
    );
    const entries = fc
      .uniqueArray(fc.record({ timeline: anyTimeline, end: anyLsn, reason }), { selector: (entry) => entry.timeline })
      .map((list) => list.toSorted((a, b) => a.timeline - b.timeline));
    fc.assert(
      fc.property(entries, (list) => {
        // writeTimeLineHistory: the parent's file as it is, then a line that starts a new one where there was a file.
        const text = list.reduce(
          (before, { timeline, end, reason: why }) =>
            `${before}${before === '' ? '' : '\n'}${timeline}\t${formatLsn(end)}\t${why}\n`,
          '',
        );
        expect(parseHistory(text)).toEqual(list.map((entry) => ({ ...entry, reason: entry.reason.trimEnd() })));
      }),
    );
  });
});
