import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

import { asUser, baseEnvironment, serverUser } from '../../test/harness/server-user.ts';

const GNU_TIME = '/usr/bin/time';

/** A command that is measured as a whole, from outside. It runs as the server's user. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** One of the server's commands, run by a shell in the data directory as the server does it. */
export function asServerRuns(
  command: string,
  dataDirectory: string,
  names: { readonly f: string; readonly p: string },
  env: Readonly<Record<string, string>>,
): Command {
  const expanded = command.replaceAll('%f', names.f).replaceAll('%p', names.p);
  return { program: '/bin/sh', args: ['-c', expanded], cwd: dataDirectory, env };
}

/** Runs a command that must succeed; milliseconds. */
export function timeOf(command: Command): number {
  const start = performance.now();
  run(command);
  return performance.now() - start;
}

/** Peak resident memory in MB; undefined without GNU time, which would add to the time of a short run. */
export function peakOf({ program, args, ...place }: Command): number | undefined {
  if (!existsSync(GNU_TIME)) return undefined;
  const stderr = run({ program: GNU_TIME, args: ['-f', '%M', program, ...args], ...place });
  return Number(stderr.trim().split('\n').at(-1)) / 1024;
}

function run({ program, args, cwd, env }: Command): string {
  const options = { cwd, env: { ...baseEnvironment(), ...env }, ...asUser(serverUser()) };
  const { status, stderr, error } = spawnSync(program, args, { ...options, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status ?? String(error)}: ${stderr}`);
  return stderr;
}
