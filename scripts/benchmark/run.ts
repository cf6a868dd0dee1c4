/** What was measured in one run. Figures of different runs are never set against each other: machines are noisy. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { availableParallelism, loadavg, totalmem } from 'node:os';

import type { Usage } from './usage.ts';
import { median } from './statistics.ts';

/** All values of one contestant in one setting. */
export interface Series {
  readonly runId: string;
  /** What was measured: `drain`, `push`. */
  readonly part: string;
  /** Under which circumstances: `directory`, `MinIO, 20 ms`. Compared are those of one setting, or two of one contestant. */
  readonly setting: string;
  readonly contestant: string;
  readonly unit: 's' | 'ms' | 'MB';
  readonly values: readonly number[];
  readonly usage?: Partial<Usage>;
  /** Of how many segments each value is. */
  readonly segments?: number;
}

export interface Run {
  readonly id: string;
  readonly at: string;
  readonly cores: number;
  readonly memoryGb: number;
  /** Load of the machine over the last minute, before the first measurement: what ran beside. */
  readonly loadBefore: number;
  readonly series: readonly Series[];
  /** Who was left out, and why. */
  readonly leftOut: readonly string[];
}

/** A run that has only begun. */
export function beginRun(): Run {
  return {
    id: randomBytes(6).toString('hex'),
    at: new Date().toISOString(),
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 1024 ** 3),
    loadBefore: Number((loadavg()[0] ?? 0).toFixed(1)),
    series: [],
    leftOut: [],
  };
}

/** The ratio of two medians. Throws where they are not of one run. */
export function ratio(ours: Series, theirs: Series): number {
  if (ours.runId !== theirs.runId) {
    throw new Error(
      `figures of the runs ${ours.runId} and ${theirs.runId} are not to be compared: measure both in one run`,
    );
  }
  if (ours.unit !== theirs.unit) throw new Error(`${ours.unit} and ${theirs.unit} are not to be compared`);
  return median(ours.values) / median(theirs.values);
}

/** What was measured under the same circumstances, with a title. */
export function groupsOf(all: readonly Series[]): { readonly title: string; readonly series: readonly Series[] }[] {
  const byTitle = new Map<string, Series[]>();
  for (const series of all) {
    const count = series.segments === undefined ? '' : ` of ${series.segments} segments`;
    const title = `${series.part}${count}, ${series.setting}`;
    byTitle.set(title, [...(byTitle.get(title) ?? []), series]);
  }
  return [...byTitle].map(([title, series]) => ({ title, series }));
}

/** A run that was written as JSON. */
export function readRun(path: string): Run {
  const run = JSON.parse(readFileSync(path, 'utf8')) as Run;
  if (run.series.some(({ runId }) => runId !== run.id)) throw new Error(`${path} holds figures of several runs`);
  return run;
}
