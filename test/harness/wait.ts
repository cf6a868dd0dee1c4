import { readFileSync } from 'node:fs';

const POLL_INTERVAL_MS = 20;
const SPIN_LIMIT_MS = 20_000;
/** Each takes microseconds. */
const MOST_LOOKS = 1000;

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

/** Looks without a pause, for what is over in milliseconds. Blocks this process. */
export function spinUntil(condition: () => boolean): void {
  const end = performance.now() + SPIN_LIMIT_MS;
  while (!condition()) {
    if (performance.now() > end) throw new Error('the moment never came');
  }
}

/**
 * The processes that this one has started; none where it has ended. The kernel leaves some out where another one ends
 * while it makes the list (proc(5)), so it has to say the same twice.
 */
export function childrenOf(pid: number): number[] {
  let before = listChildren(pid);
  for (let looks = 1; looks < MOST_LOOKS; looks += 1) {
    const now = listChildren(pid);
    if (now === before) return now.split(' ').filter(Boolean).map(Number);
    before = now;
  }
  throw new Error(`the children of ${pid} changed between each two of ${MOST_LOOKS} looks`);
}

function listChildren(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  } catch {
    return '';
  }
}
