import { readFileSync } from 'node:fs';

const POLL_INTERVAL_MS = 20;

/** Polls until `condition` holds. Fails after `limitMs`, with what `explain` says at that moment. */
export async function waitFor(
  description: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = 30_000,
  explain: () => string = () => '',
): Promise<void> {
  const end = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited ${limitMs} ms in vain for: ${description}\n${explain()}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_INTERVAL_MS));
  }
}

/** A zombie does not run. */
export function isRunning(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
