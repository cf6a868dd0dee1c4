import { expect, test } from 'vitest';

import { situationsPage } from '../../scripts/lib/situations.ts';

interface Seen {
  readonly heading: string;
  readonly name: string;
  readonly version: number;
  readonly status?: string;
  readonly from?: number;
  readonly to?: number;
  readonly gates?: boolean;
}

function report(...seen: readonly Seen[]): string {
  const assertionResults = seen.map(({ heading, status = 'passed', ...meta }) => ({
    ancestorTitles: ['', heading],
    status,
    meta: { situation: { from: 13, to: 18, gates: true, ...meta } },
  }));
  const others = [{ ancestorTitles: [''], status: 'passed', meta: {} }];
  return JSON.stringify({ testResults: [{ assertionResults }, { assertionResults: others }] });
}

function page(...seen: readonly Seen[]): string[] {
  return situationsPage([report(...seen)]).split('\n');
}

test('each situation is a line below its heading, with what was seen of each version', () => {
  const lines = page(
    { heading: 'Stopping', name: 'a fast stop', version: 13 },
    { heading: 'Archiving', name: 'a | b', version: 18 },
    { heading: 'Stopping', name: 'a fast stop', version: 14, gates: false },
    { heading: 'Stopping', name: 'a fast stop', version: 15, status: 'failed' },
    { heading: 'Stopping', name: 'a fast stop', version: 16, status: 'skipped' },
  );
  expect(lines.slice(lines.indexOf('## Archiving'))).toEqual([
    '## Archiving',
    '',
    '| | 13 | 14 | 15 | 16 | 17 | 18 |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    '| a \\| b | ? | ? | ? | ? | ? | yes |',
    '',
    '## Stopping',
    '',
    '| | 13 | 14 | 15 | 16 | 17 | 18 |',
    '| --- | --- | --- | --- | --- | --- | --- |',
    '| a fast stop | yes | yes\\* | **no** | ? | ? | ? |',
    '',
  ]);
});

test('a version that knows no such situation is told from one that was not seen', () => {
  const lines = page({ heading: 'Batches', name: 'of 64', version: 15, from: 15, to: 17 });
  expect(lines).toContain('| of 64 | - | - | yes | ? | ? | - |');
});

test('of several runs the last one counts that saw a situation', () => {
  const seen = { heading: 'Stopping', name: 'a fast stop', version: 13 };
  const reports = [
    report({ ...seen, status: 'failed' }, { ...seen, version: 14 }),
    report(seen, { ...seen, version: 14, status: 'skipped' }),
  ];
  expect(situationsPage(reports)).toContain('| a fast stop | yes | yes | ? | ? | ? | ? |');
});

test('a report of another shape makes no page', () => {
  expect(() => situationsPage(['{}'])).toThrow();
});
