import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { build } from '../../scripts/build.ts';

export const CHECKOUT = dirname(dirname(import.meta.dirname));

/** What the executable is made of. */
export const SOURCES = ['src', 'scripts/build.ts', 'package.json', 'package-lock.json', 'tsconfig.json'];
const BUILD_LIMIT_MS = 60_000;
const POLL_INTERVAL_MS = 50;

/** The product in dist/, built anew where the sources have changed; test files that run at once share one build. */
export async function builtDist(): Promise<string> {
  const directory = join(CHECKOUT, 'dist');
  await makeOnce(directory, digestOf(SOURCES.map((path) => join(CHECKOUT, path))), () => {
    build(CHECKOUT, directory);
  });
  return directory;
}

/** Has `make` fill `directory`, unless it was made from the same sources before. One process at a time. */
export async function makeOnce(directory: string, digest: string, make: () => void): Promise<void> {
  const notes = join(CHECKOUT, '.cache', 'made');
  mkdirSync(notes, { recursive: true });
  const stamp = join(notes, `${basename(directory)}.sha256`);
  const isMade = (): boolean => existsSync(directory) && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest;
  if (isMade()) return;
  await underLock(join(notes, `${basename(directory)}.lock`), () => {
    if (isMade()) return;
    rmSync(stamp, { force: true });
    make();
    writeFileSync(stamp, digest);
  });
}

/** SHA-256 over the names and the bytes of files and directory trees. */
export function digestOf(paths: readonly string[]): string {
  const hash = createHash('sha256');
  for (const path of paths.flatMap(filesIn)) hash.update(`${path}\0`).update(readFileSync(path)).update('\0');
  return hash.digest('hex');
}

function filesIn(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .toSorted()
    .flatMap((name) => filesIn(join(path, name)));
}

/** The lock is a file that names its process; one whose process is gone counts for nothing. */
async function underLock(lock: string, act: () => void): Promise<void> {
  const end = performance.now() + BUILD_LIMIT_MS;
  while (!take(lock)) {
    if (performance.now() > end) throw new Error(`${lock} was held for ${BUILD_LIMIT_MS} ms`);
    await pause(POLL_INTERVAL_MS);
  }
  try {
    act();
  } finally {
    rmSync(lock, { force: true });
  }
}

function take(lock: string): boolean {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch {
    if (existsSync(lock) && !existsSync(`/proc/${readFileSync(lock, 'utf8')}`)) rmSync(lock, { force: true });
    return false;
  }
}
