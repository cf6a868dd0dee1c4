import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { expect, test } from 'vitest';

import { MIB } from '../harness/cluster.ts';
import { builtDist } from '../harness/dist.ts';
import { makeCluster } from './in-process.ts';

const NAME = '000000010000000000000001';
const MOST_MEMORY_MB = 150;
/** Often enough that little is missed between the last look and the end. */
const LOOK_INTERVAL_MS = 10;

/** Runs a launcher of dist/, and watches the program's peak resident memory. */
async function watched(
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

test.each(['checksum', 'readback'])(
  'a segment of 1 GB takes at most 150 MB of memory, verify = "%s"',
  async (verify) => {
    const cluster = makeCluster({ settings: { top: `verify = "${verify}"` } });
    const content = cluster.segment(NAME, { bytes: 1024 * MIB });
    const place = { cwd: cluster.dataDirectory, env: { PATH: '/usr/bin:/bin', WALSEAL_CONFIG: cluster.config } };
    const pushed = await watched(['wal-push', `pg_wal/${NAME}`], place);
    expect(pushed.status).toBe(0);
    expect(pushed.peakMb).toBeGreaterThan(20);
    expect(pushed.peakMb).toBeLessThanOrEqual(MOST_MEMORY_MB);
    const fetched = await watched(['wal-fetch', NAME, 'pg_wal/RECOVERYXLOG'], place);
    expect(fetched.status).toBe(0);
    expect(fetched.peakMb).toBeLessThanOrEqual(MOST_MEMORY_MB);
    expect(readFileSync(cluster.walPath('RECOVERYXLOG')).equals(content)).toBe(true);
  },
);
