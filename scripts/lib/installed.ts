/**
 * Ends with 0 where node_modules holds what package-lock.json names, else with 1. npm notes what it installed in a lock
 * file of its own, at the end of an installation that succeeded. No package is imported: there may be none yet.
 */
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

interface Entry {
  readonly version?: string;
  readonly integrity?: string;
  /** Of another platform, or one that may fail. */
  readonly optional?: boolean;
}

const ROOT = dirname(dirname(import.meta.dirname));

process.exitCode = isInstalled() ? 0 : 1;

function isInstalled(): boolean {
  const installed = packages('node_modules/.package-lock.json');
  const wanted = [...packages('package-lock.json')].filter(([path]) => path !== '');
  const isInStep = ([path, entry]: [string, Entry]): boolean => {
    const there = installed.get(path);
    if (there === undefined) return entry.optional === true;
    return there.version === entry.version && there.integrity === entry.integrity;
  };
  return wanted.length > 0 && wanted.every(isInStep);
}

function packages(path: string): Map<string, Entry> {
  try {
    const lock = JSON.parse(readFileSync(join(ROOT, path), 'utf8')) as { packages: Record<string, Entry> };
    return new Map(Object.entries(lock.packages));
  } catch {
    return new Map();
  }
}
