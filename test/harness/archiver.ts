/** The archiver of a server, and what it runs: sh, the launcher, the program. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';

import type { PostgresServer } from './postgres.ts';
import { childrenOf, spinUntil, waitFor } from './wait.ts';

/**
 * The archiver's process id, as soon as there is one. One that died is started again after 10 s at the earliest, and
 * when something wakes the postmaster, as our question does. (13 has none in pg_stat_activity.)
 */
export async function archiverPid(server: PostgresServer): Promise<number> {
  let pid: number | undefined;
  await waitFor('the archiver to run', async () => {
    await server.query('SELECT 1').catch(() => undefined);
    pid = childrenOf(server.pid ?? 0).find(isArchiver);
    return pid !== undefined;
  });
  return pid ?? 0;
}

function isArchiver(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').startsWith('postgres: archiver');
  } catch {
    return false; // It has ended.
  }
}

/** The archiver's shell's child, and walseal itself, once that has become the program. */
export function launcherAndProgramOf(archiver: number): [launcher: number, program: number] | undefined {
  const [shell] = childrenOf(archiver);
  const [launcher] = shell === undefined ? [] : childrenOf(shell);
  const [program] = launcher === undefined ? [] : childrenOf(launcher);
  if (launcher === undefined || program === undefined) return undefined;
  return nameOf(program) === 'walseal' ? [launcher, program] : undefined;
}

export interface Push {
  readonly archive: string;
  readonly archiver: number;
  readonly segment: string;
}

/** The program that pushes a segment, waited for without a pause; undefined where the push was over too soon. */
export function spinForProgram({ archive, archiver, segment }: Push): number | undefined {
  let found: number | undefined;
  spinUntil(() => (found = launcherAndProgramOf(archiver)?.[1]) !== undefined || isStored(archive, segment));
  return found;
}

/** How far a push has come when it is disturbed. */
export const MOMENTS = ['as it begins', 'as it writes', 'as it has just written'] as const;
export type Moment = (typeof MOMENTS)[number];

/** Waits until the push has come so far, or farther. */
export function spinUntilPushIs(moment: Moment, push: Push): void {
  spinUntil(() => pushIs(moment, push));
}

function pushIs(moment: Moment, { archive, archiver, segment }: Push): boolean {
  if (isStored(archive, segment)) return true;
  if (moment === 'as it begins') return childrenOf(archiver).length > 0;
  return moment === 'as it writes' && readdirSync(join(archive, 'tmp')).length > 1;
}

function isStored(archive: string, segment: string): boolean {
  const [system = ''] = readdirSync(archive).filter((name) => name !== 'tmp');
  return existsSync(join(archive, system, 'wal', segment.slice(0, 16), segment));
}

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return ''; // It has ended.
  }
}

/** Processes whose current directory is this one, as that of all commands of a server is. */
export function processesIn(directory: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/cwd`) === directory;
    } catch {
      return false; // It has ended.
    }
  });
}
