import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const GNU_TIME = '/usr/bin/time';

interface Place {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}

/** Runs a command that must succeed; milliseconds from outside. */
export function timeOf(command: string, args: readonly string[], place: Place): number {
  const start = performance.now();
  run(command, args, place);
  return performance.now() - start;
}

/** Peak resident memory of a command in MB; undefined without GNU time, which would add to the time of a short run. */
export function peakOf(command: string, args: readonly string[], place: Place): number | undefined {
  if (!existsSync(GNU_TIME)) return undefined;
  const stderr = run(GNU_TIME, ['-f', '%M', command, ...args], place);
  return Number(stderr.trim().split('\n').at(-1)) / 1024;
}

function run(command: string, args: readonly string[], place: Place): string {
  const { status, stderr, error } = spawnSync(command, args, { ...place, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status ?? String(error)}: ${stderr}`);
  return stderr;
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The lower and the upper quartile. */
export function spread(values: readonly number[]): [number, number] {
  return [quantile(values, 0.25), quantile(values, 0.75)];
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const value = sorted[Math.round((sorted.length - 1) * part)];
  if (value === undefined) throw new Error('there is nothing to take a quantile of');
  return value;
}
