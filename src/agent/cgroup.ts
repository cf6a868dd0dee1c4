import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { codeOf } from '../exit.ts';

const ROOT = '/sys/fs/cgroup';
/** Of what the agent may take up, so much must be free below the limit that it shares with the database. */
const TIMES_FREE = 4;
const ABSENT: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR']);

/** How the two versions of control groups name the same things. */
interface Names {
  readonly limit: string;
  readonly usage: string;
  /** In memory.stat: pages of files that the kernel gives back at once. */
  readonly reclaimable: string;
}
const V1: Names = {
  limit: 'memory.limit_in_bytes',
  usage: 'memory.usage_in_bytes',
  reclaimable: 'total_inactive_file',
};
const V2: Names = { limit: 'memory.max', usage: 'memory.current', reclaimable: 'inactive_file' };

/**
 * Whether a process that takes up so many bytes may run beside the database in its control group. Not where the kernel
 * kills all of a group together (memory.oom.group), nor near its limit: a helper is not worth the database. See
 * cgroup-v2.rst and cgroup-v1/memory.rst of the kernel's documentation.
 * @param own what /proc/self/cgroup says; given by tests, as is `root`
 */
export function hasRoomForAgent(bytes: number, own = readFileSync('/proc/self/cgroup', 'utf8'), root = ROOT): boolean {
  return own
    .split('\n')
    .flatMap((line) => {
      const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
      if (path === undefined) return [];
      if (controllers === '')
        return [join(root, path), join(root, 'unified', path)].map((at) => hasRoom(at, root, V2, bytes));
      return controllers?.split(',').includes('memory') === true
        ? [hasRoom(join(root, 'memory', path), root, V1, bytes)]
        : [];
    })
    .every(Boolean);
}

/**
 * Looks at the group and at all above it, as each may have a limit. In a container the outer ones are not to be seen. A
 * limit that is there and can't be read may be a tight one.
 */
function hasRoom(group: string, root: string, names: Names, bytes: number): boolean {
  try {
    return isRoomy(group, root, names, bytes);
  } catch {
    return false;
  }
}

function isRoomy(group: string, root: string, names: Names, bytes: number): boolean {
  for (let at = group; at.startsWith(root); at = dirname(at)) {
    if (read(at, 'memory.oom.group')?.trim() === '1') return false;
    const limit = Number(read(at, names.limit) ?? Number.NaN);
    if (!Number.isFinite(limit)) continue;
    const [, reclaimable = '0'] =
      new RegExp(`^${names.reclaimable} (\\d+)$`, 'm').exec(read(at, 'memory.stat') ?? '') ?? [];
    const used = Number(read(at, names.usage) ?? 0) - Number(reclaimable);
    if (limit - used < TIMES_FREE * bytes) return false;
  }
  return true;
}

/** Undefined where there is no such file. Errors: those of the system. */
function read(group: string, name: string): string | undefined {
  try {
    return readFileSync(join(group, name), 'latin1');
  } catch (error) {
    if (ABSENT.has(codeOf(error) ?? '')) return undefined;
    throw error;
  }
}
