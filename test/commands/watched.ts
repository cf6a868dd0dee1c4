import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { builtDist } from '../harness/dist.ts';

/** Often enough that little is missed between the last look and the end. */
const LOOK_INTERVAL_MS = 10;

/** Runs a launcher of dist/, and watches the program's peak resident memory. */
export async function watched(
  args: readonly [string, ...string[]],
  options: { cwd: string; env: Record<string, string> },
): Promise<{ status: number | null; peakMb: number }> {
  const [command, ...words] = args;
  const launcher = spawn(join(await builtDist(), command), words, {
    ...options,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = once(launcher, 'exit');
  let peakMb = 0;
  while (launcher.exitCode === null && launcher.signalCode === null) {
    peakMb = Math.max(peakMb, peakOfChild(launcher.pid ?? 0));
    await pause(LOOK_INTERVAL_MS);
  }
  await ended;
  return { status: launcher.exitCode, peakMb };
}

function peakOfChild(pid: number): number {
  try {
    const child = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${child}/status`, 'utf8'))?.[1];
    return Number(peak ?? 0) / 1024;
  } catch {
    // It has not started yet, or has ended.
    return 0;
  }
}
