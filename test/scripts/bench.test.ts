import { expect, test } from 'vitest';

import { chart } from '../../scripts/benchmark/chart.ts';
import { FULL, judge } from '../../scripts/benchmark/bounds.ts';
import { HELP, parseOptions } from '../../scripts/benchmark/options.ts';
import { ratio, type Run, type Series } from '../../scripts/benchmark/run.ts';
import { median, spread } from '../../scripts/benchmark/statistics.ts';

function series(contestant: string, values: readonly number[], others: Partial<Series> = {}): Series {
  return { runId: 'r1', part: 'drain', setting: 'directory', contestant, unit: 's', values, segments: FULL, ...others };
}

function run(...all: readonly Series[]): Run {
  return { id: 'r1', at: '2026-01-01T00:00:00Z', cores: 2, memoryGb: 8, loadBefore: 0, series: all, leftOut: [] };
}

test('a median and its quartiles lie between the values that are nearest', () => {
  expect(median([9, 1, 3])).toBe(3);
  expect(median([4, 1])).toBe(2.5);
  expect(spread([1, 2, 3, 4, 5])).toEqual([2, 4]);
  expect(() => median([])).toThrow('nothing');
});

test('figures of two runs, or in two units, make no ratio', () => {
  expect(ratio(series('a', [1, 2, 9]), series('b', [4]))).toBe(0.5);
  expect(() => ratio(series('a', [1]), series('b', [1], { runId: 'r2' }))).toThrow('not to be compared');
  expect(() => ratio(series('a', [1]), series('b', [1], { unit: 'ms' }))).toThrow('not to be compared');
});

test('a bound is judged in each setting that both sides were measured in, and counts for a full drain alone', () => {
  const slow = run(series('walseal-agent', [9]), series('pgbackrest-async', [10]));
  expect(judge(slow)).toMatchObject([{ value: 0.9, atMost: 0.8, holds: false }]);
  const quick = run(series('walseal-agent', [7]), series('pgbackrest-async', [10]));
  expect(judge(quick)).toMatchObject([{ holds: true }]);
  const short = { segments: FULL - 1 };
  const few = run(series('walseal-agent', [9], short), series('pgbackrest-async', [10], short));
  expect(judge(few)).toMatchObject([{ holds: undefined }]);
  const elsewhere = series('pgbackrest-async', [10], { setting: 'MinIO' });
  expect(judge(run(series('walseal-agent', [9]), elsewhere))).toEqual([]);
});

test('words that are not understood are named, with what there is', () => {
  expect(parseOptions(['drain', '--segments', '50'])).toMatchObject({ parts: new Set(['drain']), segments: 50 });
  expect(parseOptions(['--help'])).toBeUndefined();
  expect(HELP).toContain('scripts/bench drain');
  expect(() => parseOptions(['drian'])).toThrow('there are start, single');
  expect(() => parseOptions(['--contestants', 'tar'])).toThrow('"tar" is no contestant');
  expect(() => parseOptions(['--rounds', '0'])).toThrow('--rounds takes a whole number');
});

test('the picture has a bar for each contestant, as long as its median is to the longest', () => {
  const svg = chart(run(series('walseal', [5, 5]), series('a<b', [10]), series('one push', [7], { unit: 'ms' })));
  const widths = [...svg.matchAll(/<rect x="150" .*width="([\d.]+)"/g)].map(([, width]) => Number(width));
  expect(widths).toEqual([310, 620]);
  expect(svg).toContain('a&lt;b');
  expect(svg).not.toContain('one push');
});
