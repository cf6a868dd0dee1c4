import { spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Writable } from 'node:stream';

/** Who owns what lies in the scratch directory. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * One directory for all that the tests of a process leave lying, and a watchdog outside that process: whatever way
 * the process ends, the servers that it started are killed and the directory is removed.
 */
let root: { readonly path: string; readonly watchdog: Writable | null } | undefined;

/** Lives until its standard input ends, which it does when we do. */
const WATCHDOG = `
  cat > /dev/null
  for file in "$1"/pids/*; do
    pid=\${file##*/}
    [ "$(cat "/proc/$pid/comm" 2> /dev/null)" = postgres ] && kill -9 "$pid"
  done
  for attempt in 1 2 3 4 5; do rm -rf "$1" && break; sleep 0.2; done
`;

function scratchRoot(): string {
  if (root !== undefined) return root.path;
  const path = mkdtempSync(join(tmpdir(), 'walseal-test-'));
  chmodSync(path, 0o755);
  mkdirSync(join(path, 'pids'));
  const watchdog = spawn('/bin/sh', ['-c', WATCHDOG, 'watchdog', path], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  watchdog.unref();
  // A pipe keeps the event loop alive; the watchdog's must not.
  if (watchdog.stdin instanceof Socket) watchdog.stdin.unref();
  root = { path, watchdog: watchdog.stdin };
  return path;
}

/** Makes a directory (mode 0700) of its own for one purpose. It goes when the process ends, or earlier: `removeScratch`. */
export function makeScratch(purpose: string, owner: Owner): string {
  const path = mkdtempSync(join(scratchRoot(), `${purpose}-`));
  chownSync(path, owner.uid, owner.gid);
  return path;
}

/** Removes a scratch directory before its time. */
export function removeScratch(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 5 });
}

/** Has the watchdog kill a postmaster when this process ends. Returns what to call when it has ended before. */
export function killWithUs(pid: number): () => void {
  const file = join(scratchRoot(), 'pids', String(pid));
  writeFileSync(file, '');
  return () => {
    rmSync(file, { force: true });
  };
}
