import { spawnSync } from 'node:child_process';
import { appendFileSync, chmodSync, existsSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

import { codeOf } from '../../src/exit.ts';
import { MIB, TestCluster } from '../harness/cluster.ts';
import { segmentName } from './depot.ts';
import { untilListening } from './place.ts';

/** A disk for pg_wal alone. It takes root to make one. */
function mountDisk(cluster: TestCluster, megabytes: number): boolean {
  const at = join(cluster.dataDirectory, 'pg_wal');
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'none', at]);
  if (status !== 0) return false;
  onTestFinished(() => {
    spawnSync('umount', ['-l', at]);
  });
  chmodSync(at, 0o700);
  return true;
}

function freeBytes(cluster: TestCluster): number {
  const { bavail, bsize } = statfsSync(join(cluster.dataDirectory, 'pg_wal'));
  return bavail * bsize;
}

test('on a small disk what lies ready leaves room for the server, and a full one is told as it is', async (context) => {
  const cluster = new TestCluster();
  onTestFinished(() => {
    cluster.remove();
  });
  const names = Array.from({ length: 20 }, (_, index) => segmentName(index + 1));
  for (const name of names) {
    cluster.segment(name);
    expect(await cluster.run('wal-push', [`pg_wal/${name}`], { launcher: 'dist' })).toMatchObject({ status: 0 });
    rmSync(cluster.walPath(name));
  }
  if (!mountDisk(cluster, 12)) context.skip('no disk can be mounted here');
  cluster.postmaster('ready');
  cluster.signal('recovery.signal');
  const fetch = async (name: string): Promise<number | null> => {
    const { status } = await cluster.run('wal-fetch', [name, 'pg_wal/RECOVERYXLOG'], { launcher: 'dist' });
    return status;
  };
  for (const name of names.slice(0, 12)) {
    expect(await fetch(name)).toBe(0);
    await untilListening(cluster.dataDirectory);
    expect(freeBytes(cluster)).toBeGreaterThan(4 * MIB);
  }

  const filler = cluster.walPath('filler');
  fill(filler);
  const far = segmentName(20);
  // What lay ready has made room for it.
  expect(await fetch(far)).toBe(0);
  rmSync(cluster.walPath('RECOVERYXLOG'));
  fill(cluster.walPath('more'));
  expect(await fetch(segmentName(1))).toBe(206);
  expect(existsSync(cluster.walPath('RECOVERYXLOG'))).toBe(false);
  expect(readdirSync(join(cluster.dataDirectory, 'pg_wal')).sort()).toEqual(['filler', 'more']);
  rmSync(filler);
  expect(await fetch(segmentName(1))).toBe(0);
  rmSync(join(cluster.dataDirectory, 'postmaster.pid'));
});

/** Writes until the disk takes no more: the agent may be writing, too. */
function fill(path: string): void {
  const piece = Buffer.alloc(64 * 1024);
  for (;;) {
    try {
      appendFileSync(path, piece);
    } catch (error) {
      if (codeOf(error) === 'ENOSPC') return;
      throw error;
    }
  }
}
