import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { expect, test } from 'vitest';

import { MIB } from '../harness/cluster.ts';
import { builtDist } from '../harness/dist.ts';
import { makeCluster } from './in-process.ts';

const ROUNDS = 100;
/** A push of 16 MB ends well before. */
const LATEST_KILL_MS = 150;
const SEED = 20_260_101;

/** A small generator of numbers from 0 to 1 (mulberry32), so that a failure can be repeated. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

test(`a push that is killed at any moment harms nothing (${ROUNDS} times, seed ${SEED})`, async () => {
  const random = seeded(SEED);
  const dist = await builtDist();
  const cluster = makeCluster();
  const env = { PATH: '/usr/bin:/bin', WALSEAL_CONFIG: cluster.config };
  for (let round = 1; round <= ROUNDS; round += 1) {
    const name = `0000000100000000${round.toString(16).toUpperCase().padStart(8, '0')}`;
    const content = cluster.segment(name, { bytes: 16 * MIB });
    // The group is killed, as by an immediate stop of the server.
    const push = spawn(join(dist, 'wal-push'), [`pg_wal/${name}`], {
      cwd: cluster.dataDirectory,
      env,
      detached: true,
      stdio: 'ignore',
    });
    const ended = once(push, 'exit');
    await Promise.race([ended, pause(random() * LATEST_KILL_MS)]);
    if (push.exitCode === null && push.pid !== undefined) process.kill(-push.pid, 'SIGKILL');
    await ended;
    expect(await cluster.run('wal-push', [`pg_wal/${name}`], { launcher: 'dist' })).toMatchObject({ status: 0 });
    const fetched = await cluster.run('wal-fetch', [name, 'pg_wal/RECOVERYXLOG'], { launcher: 'dist' });
    expect(fetched).toMatchObject({ status: 0, stderr: '' });
    expect(readFileSync(cluster.walPath('RECOVERYXLOG')).equals(content), `round ${round}`).toBe(true);
  }
  expect(cluster.objects().filter((key) => key.includes('/wal/'))).toHaveLength(ROUNDS);
});
