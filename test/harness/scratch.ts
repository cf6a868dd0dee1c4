import { spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { Writable } from 'node:stream';

/** Who owns what lies in the scratch directory. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** A file system in memory: what a server keeps there is never written to a disk. */
const MEMORY = '/dev/shm';
const MEMORY_WANTED_BYTES = 4 * 1024 ** 3;

/**
 * One directory for all that the tests of a process leave lying, one of the same name in memory, and a watchdog outside
 * that process: whatever way the process ends, the servers that it started are killed and the directories are removed.
 */
let root: { readonly path: string; readonly inMemory: string; readonly watchdog: Writable | null } | undefined;

/**
 * Lives until its standard input ends, which it does when we do. A process is known by its pid and by when it started,
 * since a pid alone may be another's by then.
 */
const WATCHDOG = `
  started() { shift 19; echo "$1"; }
  cat > /dev/null
  for file in "$1"/pids/*; do
    pid=\${file##*/}
    stat=$(cat "/proc/$pid/stat" 2> /dev/null) || continue
    [ "$(started \${stat##*) })" = "$(cat "$file")" ] && kill -9 "$pid"
  done
  for attempt in 1 2 3 4 5; do rm -rf "$1" "$2" && break; sleep 0.2; done
`;

function scratchRoot(): { readonly path: string; readonly inMemory: string } {
  if (root !== undefined) return root;
  const path = mkdtempSync(join(tmpdir(), 'walseal-test-'));
  const inMemory = join(MEMORY, basename(path));
  chmodSync(path, 0o755);
  mkdirSync(join(path, 'pids'));
  const watchdog = spawn('/bin/sh', ['-c', WATCHDOG, 'watchdog', path, inMemory], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  watchdog.unref();
  // A pipe keeps the event loop alive; the watchdog's must not.
  if (watchdog.stdin instanceof Socket) watchdog.stdin.unref();
  root = { path, inMemory, watchdog: watchdog.stdin };
  return root;
}

/**
 * On a disk each server's data directory costs the tests a thousand files made and removed, which a journal takes its time
 * for. So vitest.config.ts has them made in memory, where there is room: what a server or an archive syncs makes no difference to
 * anything that survives no more than processes.
 */
let isMemoryPreferred = process.env['WALSEAL_TEST_SCRATCH'] === 'memory';

/** From here on, `makeScratch` makes what it makes on the disk: for a test file that is about where things lie. */
export function preferDisk(): void {
  isMemoryPreferred = false;
}

/** Makes a directory (mode 0700) of its own for one purpose. It goes when the process ends, or earlier: `removeScratch`. */
export function makeScratch(purpose: string, owner: Owner): string {
  const path = isMemoryPreferred ? makeScratchInMemory(purpose) : mkdtempSync(join(scratchRoot().path, `${purpose}-`));
  chownSync(path, owner.uid, owner.gid);
  return path;
}

/** The same in memory, where there is room; it belongs to this process's user. */
export function makeScratchInMemory(purpose: string): string {
  const { path, inMemory } = scratchRoot();
  const parent = hasMemory() ? inMemory : path;
  mkdirSync(parent, { recursive: true });
  return mkdtempSync(join(parent, `${purpose}-`));
}

/** Room for data, and the right to run programs, which containers often deny there. */
function hasMemory(): boolean {
  try {
    const { bavail, bsize } = statfsSync(MEMORY);
    return (
      bavail * bsize >= MEMORY_WANTED_BYTES &&
      !/ \/dev\/shm \S+ \S*\bnoexec\b/.test(readFileSync('/proc/mounts', 'utf8'))
    );
  } catch {
    return false;
  }
}

/** Removes a scratch directory before its time. */
export function removeScratch(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 5 });
}

/** Has the watchdog kill a server when this process ends. Returns what to call when it has ended before. */
export function killWithUs(pid: number): () => void {
  const file = join(scratchRoot().path, 'pids', String(pid));
  writeFileSync(file, startTime(pid));
  return () => {
    rmSync(file, { force: true });
  };
}

/** The 20th field after the name, which is in parentheses and may hold anything. Empty where the process is gone. */
function startTime(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ')[19] ?? '';
  } catch {
    return '';
  }
}
