/** What a wal-push costs whose segment the agent has stored already: a hand-over, against a program that does nothing. */
import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';

import { programs } from '../../test/harness/archiving.ts';
import { startFrom } from '../../test/harness/postgres.ts';
import { makeScratch } from '../../test/harness/scratch.ts';
import { serverUser } from '../../test/harness/server-user.ts';
import { waitFor } from '../../test/harness/wait.ts';
import { copyCluster, type WaitingCluster } from './cluster.ts';
import { timeOf, type Command } from './command.ts';
import { walsealSocket, walsealWithAgent } from './contestants/walseal.ts';
import { newMark, WAITS } from './drain.ts';
import { IN_DIRECTORY, makeGround, removeGround } from './ground.ts';
import { EMPTY } from './names.ts';
import type { Series } from './run.ts';
import { measureTasks } from './single.ts';
import { buildEmptyProgram } from './start.ts';
import { keysOf } from './storehouse.ts';
import { UsageWatch } from './usage.ts';

/** As many as the agent works ahead: when these are stored it is idle, and what is measured is the hand-over alone. */
const AHEAD = 32;

/** How many segments must wait for so many rounds: two pushes come before, and one for the memory after. */
export function neededFor(rounds: number): number {
  return rounds + 3;
}

export async function measureHandOver(runId: string, cluster: WaitingCluster, rounds: number): Promise<Series[]> {
  const ground = await makeGround(IN_DIRECTORY);
  copyCluster(cluster, ground.dataDirectory);
  const { env } = await walsealWithAgent.prepare(ground);
  const mark = newMark();
  // A server that runs, and does not archive: we do, in its place.
  const server = await startFrom(ground.dataDirectory, { settings: WAITS, env: { [mark]: '1' } });
  const watch = UsageWatch.ofServer(server.pid ?? 0, `${mark}=1`);
  const program = join(await programs(), 'wal-push');
  const push = (segment: string): Command => ({
    program,
    args: [join('pg_wal', segment)],
    cwd: ground.dataDirectory,
    env: { ...env, [mark]: '1' },
  });
  try {
    const [first = '', second = '', ...others] = cluster.segments;
    // The first one starts the agent; it works ahead of the second, which is its own.
    timeOf(push(first));
    await waitFor('the agent', () => existsSync(walsealSocket(ground.dataDirectory)));
    timeOf(push(second));
    const segments = others.entries();
    const next = async (): Promise<Command> => {
      const [index = 0, segment = ''] = segments.next().value ?? [];
      await waitFor(`the agent to store ${segment}`, async () => {
        const stored = new Set((await keysOf(ground.storehouse)).map((key) => basename(key)));
        return others.slice(index, index + AHEAD).every((name) => stored.has(name));
      });
      return push(segment);
    };
    const empty = buildEmptyProgram(makeScratch('empty', serverUser()));
    const tasks = [
      { name: walsealWithAgent.name, next },
      { name: EMPTY, next: async () => ({ program: empty, args: [], cwd: '/', env: {} }) },
    ];
    return await measureTasks(runId, 'hand-over', tasks, rounds);
  } finally {
    watch.stop();
    await server.stop('immediate');
    await watch.endAll();
    await removeGround(ground);
  }
}
