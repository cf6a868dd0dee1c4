/**
 * How long a server with waiting segments takes to be rid of them: the commands are run by the real server's archiver, as
 * it runs them, and the time is that from the moment it is told its archive_command until the last segment is archived.
 */
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { startFrom, type PostgresServer, type Settings } from '../../test/harness/postgres.ts';
import { asUser, baseEnvironment, serverUser } from '../../test/harness/server-user.ts';
import { waitFor } from '../../test/harness/wait.ts';
import { copyCluster, KEEPS_SEGMENTS, statusDirectory, type WaitingCluster } from './cluster.ts';
import type { Contestant, Ground, Ready } from './contestants/contestant.ts';
import { makeGround, removeGround, type Place } from './ground.ts';
import { keysOf } from './storehouse.ts';
import type { Series } from './run.ts';
import { inTurns } from './turns.ts';
import { medianUsage, UsageWatch, type Usage } from './usage.ts';

/** One measurement. */
export interface Timed {
  readonly seconds: number;
  readonly usage: Usage;
}

const DRAIN_LIMIT_MS = 20 * 60_000;
/** A server syncs the names of what it has archived, as it does everywhere. */
export const WAITS: Settings = { ...KEEPS_SEGMENTS, fsync: true, archive_mode: 'on', archive_command: '' };

/** Each contestant drains copies of one cluster, in turns. */
export async function measureDrain(
  runId: string,
  cluster: WaitingCluster,
  contestants: readonly Contestant[],
  place: Place,
  rounds: number,
): Promise<Series[]> {
  const all = await inTurns(contestants, rounds, (contestant) => drain(cluster, contestant, place));
  return contestants.map(({ name }, index) => ({
    runId,
    part: 'drain',
    setting: place.setting,
    contestant: name,
    unit: 's',
    values: (all[index] ?? []).map(({ seconds }) => seconds),
    usage: medianUsage((all[index] ?? []).map(({ usage }) => usage)),
    segments: cluster.segments.length,
  }));
}

/** One drain by one contestant, into a new archive, which is removed. */
async function drain(cluster: WaitingCluster, contestant: Contestant, place: Place): Promise<Timed> {
  const ground = await makeGround(place);
  try {
    return await drainOn(ground, cluster, contestant);
  } finally {
    await removeGround(ground);
  }
}

/** The same on ground that is there, whose archive is left full. */
export async function drainOn(ground: Ground, cluster: WaitingCluster, contestant: Contestant): Promise<Timed> {
  copyCluster(cluster, ground.dataDirectory);
  const ready = await contestant.prepare(ground);
  const before = (await keysOf(ground.storehouse)).length;
  const timed =
    ready.loop === undefined
      ? await archiveByServer(ground, cluster.segments, ready)
      : await byLoop(ground, ready.loop);
  const stored = (await keysOf(ground.storehouse)).length - before;
  // Some keep a file or two besides; less than all is another's work.
  if (stored < cluster.segments.length) {
    throw new Error(`${contestant.name} says that it has stored all segments, and there are ${stored} files`);
  }
  return timed;
}

/** What a server's archiver took. */
interface ArchivedTimed extends Timed {
  /** When each of the segments was archived: milliseconds since the first was asked for. */
  readonly archivedMs: readonly number[];
}

/** Has a server on this ground archive these segments, which wait there; the first of all. */
export async function archiveByServer(
  ground: Ground,
  segments: readonly string[],
  ready: Ready,
): Promise<ArchivedTimed> {
  const mark = newMark();
  const server = await startFrom(ground.dataDirectory, { settings: WAITS, env: { ...ready.env, [mark]: '1' } });
  const watch = UsageWatch.ofServer(server.pid ?? 0, `${mark}=1`);
  try {
    const startMs = performance.timeOrigin + performance.now();
    server.reload({ ...WAITS, archive_command: ready.archiveCommand });
    const archivedMs = (await archivedAt(server, segments)).map((endMs) => endMs - startMs);
    const usage = watch.stop();
    await provedByServer(server, segments);
    return { seconds: Math.max(...archivedMs) / 1000, usage, archivedMs };
  } finally {
    await server.stop('immediate');
    await watch.endAll();
  }
}

/** Waits for all of them. By the clock of the file system, which knows better than we when each of them was renamed. */
async function archivedAt(server: PostgresServer, segments: readonly string[]): Promise<number[]> {
  const done = segments.map((name) => join(statusDirectory(server.dataDirectory), `${name}.done`));
  // The archiver goes by their names: only when the last one is done is it worth while to look at all.
  const isDone = (): boolean => existsSync(done.at(-1) ?? '') && done.every((path) => existsSync(path));
  await waitFor('the last segment to be archived', isDone, DRAIN_LIMIT_MS, () => server.log().slice(-4000));
  return done.map((path) => statSync(path).ctimeMs);
}

async function provedByServer(server: PostgresServer, segments: readonly string[]): Promise<void> {
  const [row] = await server.query(
    'select archived_count::int as archived, failed_count::int as failed from pg_stat_archiver',
  );
  if (Number(row?.['archived']) < segments.length || Number(row?.['failed']) > 0) {
    throw new Error(`the server says of its archiver: ${JSON.stringify(row)}\n${server.log().slice(-4000)}`);
  }
}

async function byLoop(ground: Ground, [command, ...args]: readonly [string, ...string[]]): Promise<Timed> {
  const mark = newMark();
  const watch = UsageWatch.ofOurs(`${mark}=1`);
  const start = performance.now();
  const loop = spawn(command, args, {
    cwd: join(ground.dataDirectory, 'pg_wal'),
    env: { ...baseEnvironment(), [mark]: '1' },
    stdio: ['ignore', 'inherit', 'inherit'],
    ...asUser(serverUser()),
  });
  const [status] = (await once(loop, 'exit')) as [number | null];
  const seconds = (performance.now() - start) / 1000;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${String(status)}`);
  return { seconds, usage: watch.stop() };
}

/** A variable of this measurement alone. */
export function newMark(): string {
  return `BENCH_${randomBytes(8).toString('hex')}`;
}
