/** How long a server takes from its start on a base backup, through all the segments in an archive, until it is open. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { PostgresServer, type Settings } from '../../test/harness/postgres.ts';
import { removeScratch } from '../../test/harness/scratch.ts';
import { copyAsServer } from '../../test/harness/server-user.ts';
import { waitFor } from '../../test/harness/wait.ts';
import type { WaitingCluster } from './cluster.ts';
import type { Contestant, Ground, Ready } from './contestants/contestant.ts';
import { drainOn, newMark, type Timed } from './drain.ts';
import { makeGround, removeGround, type Place } from './ground.ts';
import type { Series } from './run.ts';
import type { Storehouse } from './storehouse.ts';
import { inTurns } from './turns.ts';
import { medianUsage, UsageWatch } from './usage.ts';

const RECOVERY_LIMIT_MS = 30 * 60_000;

/** The same store, seen from somewhere. */
export interface View {
  readonly setting: string;
  readonly of: (storehouse: Storehouse) => Promise<Storehouse>;
}

/** Has each contestant fill an archive, and then recovers from it, again and again, in turns. */
export async function measureRecovery(
  runId: string,
  cluster: WaitingCluster,
  contestants: readonly Contestant[],
  { place, views }: { readonly place: Place; readonly views: readonly View[] },
  rounds: number,
): Promise<Series[]> {
  const grounds = new Map<Contestant, Ground>();
  try {
    for (const contestant of contestants) {
      const ground = await makeGround(place);
      grounds.set(contestant, ground);
      await drainOn(ground, cluster, contestant);
      removeScratch(ground.dataDirectory);
    }
    const tasks = [...grounds].flatMap(([contestant, ground]) => views.map((view) => ({ contestant, ground, view })));
    const all = await inTurns(tasks, rounds, ({ contestant, ground, view }) =>
      recover(cluster, contestant, ground, view),
    );
    return tasks.map(({ contestant, view }, index) => ({
      runId,
      part: 'recovery',
      setting: view.setting,
      contestant: contestant.name,
      unit: 's',
      values: (all[index] ?? []).map(({ seconds }) => seconds),
      usage: medianUsage((all[index] ?? []).map(({ usage }) => usage)),
      segments: cluster.segments.length,
    }));
  } finally {
    for (const ground of grounds.values()) await removeGround(ground);
  }
}

async function recover(cluster: WaitingCluster, contestant: Contestant, ground: Ground, view: View): Promise<Timed> {
  copyAsServer(cluster.backup, ground.dataDirectory);
  try {
    const storehouse = await view.of(ground.storehouse);
    return await recoverOn(cluster, ground, await contestant.prepare({ ...ground, storehouse }));
  } finally {
    removeScratch(ground.dataDirectory);
  }
}

async function recoverOn(cluster: WaitingCluster, { dataDirectory }: Ground, ready: Ready): Promise<Timed> {
  const mark = newMark();
  const settings: Settings = {
    archive_mode: 'off',
    restore_command: ready.restoreCommand ?? '',
    recovery_target_lsn: cluster.target,
    recovery_target_action: 'promote',
    // Open means: to be written. It never says that it is ready for less.
    hot_standby: false,
    shared_buffers: '256MB',
    checkpoint_timeout: '1h',
    max_wal_size: '16GB',
  };
  const server = new PostgresServer(dataDirectory);
  const start = performance.now();
  const env = { ...ready.env, [mark]: '1' };
  await server.start({ settings, env, signal: 'recovery', waitUntilReady: false });
  const watch = UsageWatch.ofServer(server.pid ?? 0, `${mark}=1`);
  try {
    await waitFor(
      'the end of a recovery',
      () => server.pid === undefined || isOpen(dataDirectory),
      RECOVERY_LIMIT_MS,
      () => server.log().slice(-4000),
    );
    const seconds = (performance.now() - start) / 1000;
    const usage = watch.stop();
    const restored = cluster.segments.filter((name) => server.log().includes(`restored log file "${name}"`));
    if (server.pid === undefined || restored.length < cluster.segments.length) {
      throw new Error(
        `${restored.length} of ${cluster.segments.length} segments were restored:\n${server.log().slice(-4000)}`,
      );
    }
    return { seconds, usage };
  } finally {
    await server.stop('immediate');
    await watch.endAll();
  }
}

/** By the line of postmaster.pid that says so. */
function isOpen(dataDirectory: string): boolean {
  try {
    return readFileSync(join(dataDirectory, 'postmaster.pid'), 'utf8').split('\n')[7]?.trim() === 'ready';
  } catch {
    return false;
  }
}
