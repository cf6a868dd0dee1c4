/** A run as text for people. */
import { table, type Column } from '../../src/report/table.ts';
import { judge } from './bounds.ts';
import { groupsOf, ratio, type Run, type Series } from './run.ts';
import { median, spread } from './statistics.ts';

const COLUMNS: readonly Column[] = [
  { title: '' },
  { title: 'median', align: 'right' },
  { title: 'quartiles', align: 'right' },
  { title: 'to walseal', align: 'right' },
  { title: 'CPU s', align: 'right' },
  { title: 'peak MB', align: 'right' },
  { title: 'apart MB', align: 'right' },
];

/** Tables of all that was measured, the bounds, and who was left out. */
export function report(run: Run): string[] {
  return [
    `run ${run.id}, ${run.at}: ${run.cores} cores, ${run.memoryGb} GB; load of the machine before: ${run.loadBefore}`,
    ...run.leftOut.map((reason) => `LEFT OUT: ${reason}`),
    ...groupsOf(run.series).flatMap(({ title, series }) => ['', title, ...table(COLUMNS, rowsOf(series))]),
    ...bounds(run),
  ];
}

/** Each with its ratio to walseal without an agent, or to the first. */
function rowsOf(group: readonly Series[]): string[][] {
  const base = group.find(({ contestant }) => contestant === 'walseal') ?? group[0];
  return group.map((series) => [
    series.contestant,
    `${figure(median(series.values))} ${series.unit}`,
    spread(series.values).map(figure).join('-'),
    base === undefined ? '' : ratio(series, base).toFixed(2),
    series.usage?.cpuSeconds?.toFixed(2) ?? '',
    series.usage?.peakMb?.toFixed(0) ?? '',
    series.usage?.apartPeakMb?.toFixed(0) ?? '',
  ]);
}

function figure(value: number): string {
  return value.toFixed(value < 10 ? 2 : 1);
}

function bounds(run: Run): string[] {
  const rows = judge(run).map(({ name, value, atMost, unit, holds }) => [
    name,
    unit === 'MB' ? value.toFixed(0) : value.toFixed(2),
    unit === 'MB' ? `${atMost} MB` : atMost.toFixed(2),
    holds === undefined ? 'too few segments to count' : holds ? 'holds' : 'ABOVE',
  ]);
  if (rows.length === 0) return [];
  const right = { align: 'right' } as const;
  return [
    '',
    ...table([{ title: 'bounds' }, { title: 'is', ...right }, { title: 'at most', ...right }, { title: '' }], rows),
  ];
}
