import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';

import { isRunning, waitFor } from './wait.ts';

/** The processes that are agents for this data directory, whoever started them. */
export function agentsOf(dataDirectory: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => isAgent(pid, dataDirectory) && isRunning(pid));
}

function isAgent(pid: number, dataDirectory: string): boolean {
  const words = readProc(pid, 'cmdline').split('\0');
  return words.includes('agent') && words[words.indexOf('--pgdata') + 1] === dataDirectory;
}

/** A file of /proc/<pid>, or nothing where the process is gone. */
export function readProc(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'latin1');
  } catch {
    return '';
  }
}

export async function untilGone(pid: number, limitMs = 30_000): Promise<void> {
  await waitFor(`the end of process ${pid}`, () => !isRunning(pid), limitMs);
}

/** Where it listens. It binds its socket under a name of its own, and renames it. */
export function socketOf(pid: number): string | undefined {
  const inodes = new Set(descriptorsOf(pid).flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []));
  const bound = readFileSync('/proc/net/unix', 'latin1')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find(([, , , , , , inode, path]) => inodes.has(inode ?? '') && path !== undefined)?.[7];
  const path = bound?.replace(new RegExp(`\\.${pid}$`), '');
  return path !== undefined && existsSync(path) ? path : undefined;
}

/** What its descriptors are: paths, `socket:[inode]`, `pipe:[inode]`. */
export function descriptorsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((descriptor) => targetOf(`/proc/${pid}/fd/${descriptor}`));
  } catch {
    return [];
  }
}

/** Nothing where it was closed meanwhile. */
function targetOf(link: string): string[] {
  try {
    return [readlinkSync(link)];
  } catch {
    return [];
  }
}
