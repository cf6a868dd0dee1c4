/** What one push and one fetch cost: the server's command lines, run by hand. */
import { rmSync } from 'node:fs';
import { basename, join } from 'node:path';

import { removeScratch } from '../../test/harness/scratch.ts';
import type { WaitingCluster } from './cluster.ts';
import { asServerRuns, peakOf, timeOf, type Command } from './command.ts';
import { makeGround } from './ground.ts';
import type { Contestant } from './contestants/contestant.ts';
import type { Series } from './run.ts';
import { inTurns } from './turns.ts';
import { keysOf, type Storehouse } from './storehouse.ts';

/** One side's commands, and what has to go before they are run again. */
interface Prepared {
  readonly name: string;
  readonly push: Command;
  readonly fetch: Command | undefined;
  readonly fetched: string;
  readonly forget: () => Promise<void>;
  readonly clear: () => void;
}

/** Pushes and fetches the same segment again and again, in turns. */
export async function measureSingle(
  runId: string,
  cluster: WaitingCluster,
  contestants: readonly Contestant[],
  rounds: number,
): Promise<Series[]> {
  const segment = cluster.segments[1];
  if (segment === undefined) throw new Error('a push takes a cluster with two segments');
  const all: Prepared[] = [];
  for (const contestant of contestants) all.push(await prepare(cluster, contestant, segment));
  const pushes: Task[] = all.map(({ name, push, forget }) => ({ name, command: push, before: forget }));
  const fetches: Task[] = all.flatMap(({ name, fetch, fetched }) =>
    fetch === undefined ? [] : { name, command: fetch, before: async () => rmSync(fetched, { force: true }) },
  );
  try {
    return [
      ...(await measureTasks(runId, 'push', pushes, rounds)),
      ...(await measureTasks(runId, 'fetch', fetches, rounds)),
    ];
  } finally {
    for (const { clear } of all) clear();
  }
}

/** A command that is run again and again. */
interface Task {
  readonly name: string;
  readonly command: Command;
  readonly before?: () => Promise<void>;
}

/** Runs them in turns, and each once more for its memory. */
export async function measureTasks(
  runId: string,
  part: string,
  tasks: readonly Task[],
  rounds: number,
): Promise<Series[]> {
  const once = async <T>({ command, before }: Task, act: (command: Command) => T): Promise<T> => {
    await before?.();
    return act(command);
  };
  const times = await inTurns(tasks, rounds, (task) => once(task, timeOf));
  const series: Series[] = [];
  for (const [index, task] of tasks.entries()) {
    const peakMb = await once(task, peakOf);
    series.push({
      ...{ runId, part, setting: 'directory', contestant: task.name, unit: 'ms', values: times[index] ?? [] },
      ...(peakMb !== undefined && { usage: { peakMb } }),
    });
  }
  return series;
}

async function prepare(cluster: WaitingCluster, contestant: Contestant, segment: string): Promise<Prepared> {
  const ground = makeGround(cluster);
  const ready = await contestant.prepare(ground);
  const fetched = join(ground.directory, 'fetched');
  const command = (text: string, path: string): Command =>
    asServerRuns(text, ground.dataDirectory, { f: segment, p: path }, ready.env);
  // The directories in the archive stay: a server has pushed a segment before this one.
  timeOf(command(ready.archiveCommand, join('pg_wal', segment)));
  return {
    name: contestant.name,
    push: command(ready.archiveCommand, join('pg_wal', segment)),
    fetch: ready.restoreCommand === undefined ? undefined : command(ready.restoreCommand, fetched),
    fetched,
    forget: () => forget(ground.storehouse, segment),
    clear: () => {
      removeScratch(ground.directory);
    },
  };
}

/** Removes what is stored of a segment, whatever its object is called. */
async function forget(storehouse: Storehouse, segment: string): Promise<void> {
  for (const key of await keysOf(storehouse)) if (basename(key).startsWith(segment)) rmSync(key);
}
