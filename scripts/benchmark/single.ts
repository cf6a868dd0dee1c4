/** What one push and one fetch cost: the server's command lines, run by hand. */
import { rmSync } from 'node:fs';
import { basename, join } from 'node:path';

import { copyCluster, type WaitingCluster } from './cluster.ts';
import { asServerRuns, peakOf, timeOf, type Command } from './command.ts';
import { IN_DIRECTORY, makeGround, removeGround } from './ground.ts';
import type { Contestant, Ground } from './contestants/contestant.ts';
import { DIRECTORY } from './names.ts';
import type { Series } from './run.ts';
import { inTurns } from './turns.ts';
import { keysOf, type Storehouse } from './storehouse.ts';

/** One side's commands, each made ready to be run again. */
interface Prepared {
  readonly push: Task;
  readonly fetch: Task | undefined;
  readonly clear: () => Promise<void>;
}

/** What is run again and again. */
interface Task {
  readonly name: string;
  /** Makes ready for the next run. */
  readonly next: () => Promise<Command>;
}

/** Pushes and fetches the same segment again and again, in turns. */
export async function measureSingle(
  runId: string,
  cluster: WaitingCluster,
  contestants: readonly Contestant[],
  rounds: number,
): Promise<Series[]> {
  const all: Prepared[] = [];
  try {
    for (const contestant of contestants) all.push(await prepare(cluster, contestant));
    const pushed = all.map(({ push }) => push);
    const fetched = all.flatMap(({ fetch }) => fetch ?? []);
    return [
      ...(await measureTasks(runId, 'push', pushed, rounds)),
      ...(await measureTasks(runId, 'fetch', fetched, rounds)),
    ];
  } finally {
    await Promise.all(all.map(({ clear }) => clear()));
  }
}

/** Runs them in turns, and each once more for its memory. */
export async function measureTasks(
  runId: string,
  part: string,
  tasks: readonly Task[],
  rounds: number,
): Promise<Series[]> {
  const times = await inTurns(tasks, rounds, async ({ next }) => timeOf(await next()));
  const series: Series[] = [];
  for (const [index, { name, next }] of tasks.entries()) {
    const peakMb = peakOf(await next());
    series.push({
      ...{ runId, part, setting: DIRECTORY, contestant: name, unit: 'ms', values: times[index] ?? [] },
      ...(peakMb !== undefined && { usage: { peakMb } }),
    });
  }
  return series;
}

async function prepare(cluster: WaitingCluster, contestant: Contestant): Promise<Prepared> {
  // The first one is nearly empty: it was left when the base backup ended.
  const segment = cluster.segments[1] ?? '';
  const ground = await makeGround(IN_DIRECTORY);
  copyCluster(cluster, ground.dataDirectory);
  const ready = await contestant.prepare(ground);
  const command = (text: string, path: string): Command =>
    asServerRuns(text, ground.dataDirectory, { f: segment, p: path }, ready.env);
  const push = command(ready.archiveCommand, join('pg_wal', segment));
  // The directories in the archive stay: a server has pushed a segment before this one.
  timeOf(push);
  const { name } = contestant;
  return {
    push: { name, next: () => forget(ground.storehouse, segment).then(() => push) },
    fetch: ready.restoreCommand === undefined ? undefined : fetchTask(name, ready.restoreCommand, ground, command),
    clear: () => removeGround(ground),
  };
}

function fetchTask(
  name: string,
  restoreCommand: string,
  { directory }: Ground,
  command: (text: string, path: string) => Command,
): Task {
  const fetched = join(directory, 'fetched');
  const next = async (): Promise<Command> => {
    rmSync(fetched, { force: true });
    return command(restoreCommand, fetched);
  };
  return { name, next };
}

/** Removes what is stored of a segment, whatever its object is called. */
async function forget(storehouse: Storehouse, segment: string): Promise<void> {
  for (const key of await keysOf(storehouse)) if (basename(key).startsWith(segment)) rmSync(key);
}
