import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { makeScratch } from '../harness/scratch.ts';

/** The shells that /bin/sh can be. */
export const SHELLS: Readonly<Record<string, readonly string[]>> = {
  dash: ['dash'],
  busybox: ['busybox', 'sh'],
  'bash --posix': ['bash', '--posix'],
  bash: ['bash'],
};

/** Who asks: the archiver, a recovery, a standby. */
export type Column = 'push' | 'strict' | 'standby';
export const COLUMNS: readonly Column[] = ['push', 'strict', 'standby'];

export interface Ended {
  /** The status, or the signal that it died by. */
  readonly status: number | string;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly stderr: () => string;
  readonly ended: Promise<Ended>;
}

export interface Options {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

const LIMIT_MS = 60_000;
/** As a service has it, with the Node that runs the tests in front. */
const ENVIRONMENT = {
  PATH: `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`,
  HOME: '/nonexistent',
  LC_ALL: 'C',
};

/** Starts a command in a session of its own, so that signals to its group reach no one else. */
export function start(command: readonly string[], { cwd, env }: Options): Running {
  const [program = '', ...args] = command;
  const child = spawn(program, args, {
    cwd,
    env: { ...ENVIRONMENT, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const ended = new Promise<Ended>((resolve, reject) => {
    const limit = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      reject(new Error(`${command.join(' ')} did not end within ${LIMIT_MS} ms\n${output.stdout}${output.stderr}`));
    }, LIMIT_MS);
    child.once('error', reject);
    child.once('close', (status, signal) => {
      clearTimeout(limit);
      resolve({ status: status ?? String(signal), ...output });
    });
  });
  return { child, stderr: () => output.stderr, ended };
}

export function run(command: readonly string[], options: Options): Promise<Ended> {
  return start(command, options).ended;
}

/** Runs a command in a shell that limits itself first: `ulimit -n 12`, `exec >&-`. */
export function limited(preparation: string, command: readonly string[]): string[] {
  return ['dash', '-c', `${preparation}; exec "$@"`, 'dash', ...command];
}

/** The command line that the server would use, with the shell made explicit. */
export function commandFor(shell: readonly string[], directory: string, column: Column, fault: string): string[] {
  const verb = column === 'push' ? 'wal-push' : 'wal-fetch';
  return [...shell, join(directory, verb), fault, PROOF];
}

/** What a true 'done' leaves behind. */
export const PROOF = 'pg_wal/RECOVERYXLOG';

/** A directory such as the server runs its commands in. */
export function dataDirectory(column: Column): string {
  const directory = makeScratch(column, { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 });
  mkdirSync(join(directory, 'pg_wal'));
  if (column === 'strict') writeFileSync(join(directory, 'recovery.signal'), '');
  if (column === 'standby') writeFileSync(join(directory, 'standby.signal'), '');
  return directory;
}
