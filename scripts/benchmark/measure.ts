import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const GNU_TIME = '/usr/bin/time';

export interface Timed {
  readonly ms: number;
  /** Peak resident memory; undefined without GNU time. */
  readonly peakMb: number | undefined;
}

/** Runs a command that must succeed, and times it from outside. */
export function timed(
  command: string,
  args: readonly string[],
  options: { cwd: string; env: NodeJS.ProcessEnv },
): Timed {
  const hasTime = existsSync(GNU_TIME);
  const [program, words] = hasTime ? [GNU_TIME, ['-f', '%M', command, ...args]] : [command, args];
  const start = performance.now();
  const { status, stderr, error } = spawnSync(program, words, { ...options, encoding: 'utf8' });
  const ms = performance.now() - start;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status ?? String(error)}: ${stderr}`);
  return { ms, peakMb: hasTime ? Number(stderr.trim().split('\n').at(-1)) / 1024 : undefined };
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
