/** The statuses that the documents promise are those of the program. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { ABSENT, STATUS, type Column, type FailureKind } from '../src/exit.ts';
import { ROOT } from './harness/sources.ts';

/** How README's rows begin, in the words of the table in the code. */
const ROWS: Readonly<Record<FailureKind, string>> = {
  bug: 'a bug, or the program did not run',
  usage: 'bad usage or settings',
  unreachable: "an archive can't be reached",
  denied: 'the archive denies access',
  invalid: 'the file is not what it claims to be',
  different: 'the archive holds a different file of that name',
  damaged: 'what lies in the archive is corrupt',
  'no-key': 'no key here opens it',
  unwritable: 'cannot write',
  gap: 'absent, but later segments are there',
};
const COLUMNS: readonly Column[] = ['push', 'strict', 'standby'];
/** What a column can't end with: a push looks for nothing, and a fetch stores nothing. */
const IMPOSSIBLE: Readonly<Record<Column, readonly FailureKind[]>> = {
  push: ['no-key', 'gap'],
  strict: ['different', 'damaged'],
  standby: ['different', 'damaged'],
};

/** The cells of a document's table rows, without the mark-up of numbers. */
function rowsOf(path: string): string[][] {
  return readFileSync(join(ROOT, path), 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

const said = (status: number): string => String(status === ABSENT ? 1 : status);

test.each(Object.entries(ROWS))("README's row of %s says what the program says", (kind, words) => {
  const rows = rowsOf('README.md').filter(([first = '']) => first.startsWith(words));
  expect(rows).toHaveLength(1);
  const [row = []] = rows;
  for (const [index, column] of COLUMNS.entries()) {
    const [, status] = Object.entries(STATUS).find(([known]) => known === kind) ?? [];
    const isPossible = !IMPOSSIBLE[column].some((known) => known === kind);
    expect(row[index + 1], column).toBe(isPossible && status ? said(status[column]) : '');
  }
});

test.each([
  ['When wal-push fails', 'push'],
  ['When wal-fetch fails', 'strict'],
] as const)('"%s" tells what to do about each status', (heading, column) => {
  const text = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8');
  const section = text.split(/^#+ /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
  const told = [...section.matchAll(/^\| (\d+) \|/gm)].map(([, status]) => Number(status));
  const possible = Object.entries(STATUS)
    .filter(([kind]) => !IMPOSSIBLE[column].some((known) => known === kind))
    .map(([, row]) => row[column]);
  expect(told.filter((status) => status > 1).sort((a, b) => a - b)).toEqual(
    [...new Set(possible)].sort((a, b) => a - b),
  );
});
