import { expect, test } from 'vitest';

import { agentsOf } from '../harness/agents.ts';
import { summary, untilLogged, untilOpen } from '../harness/ledger.ts';
import { waitFor } from '../harness/wait.ts';
import { randomFrom } from '../storage/faults.ts';
import { makePast, recover, untilAgent, untilNothingLeft, type Past } from './recovering.ts';

/** An agent that dies, or that says nothing any more, costs a recovery nothing but time. */

let made: Promise<Past> | undefined;
function past(): Promise<Past> {
  made ??= makePast({ segments: 30 });
  return made;
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It was gone already.
  }
}

test('killed at random moments', async () => {
  const seed = Date.now() % 1_000_000;
  console.info(`seed ${seed}`);
  const random = randomFrom(seed);
  const { holds } = await past();
  const { server } = await recover(await past());
  try {
    let killed = 0;
    const over = new AbortController();
    const killing = (async () => {
      while (!over.signal.aborted) {
        // Not for anything to happen: the moments are to be random.
        await new Promise((resolve) => setTimeout(resolve, random() * 400));
        for (const agent of agentsOf(server.dataDirectory)) {
          kill(agent, 'SIGKILL');
          killed += 1;
        }
      }
    })();
    await untilOpen(server).finally(() => {
      over.abort();
    });
    await killing;
    expect(await summary(server)).toEqual(holds);
    expect(killed).toBeGreaterThan(0);
    expect(server.log()).not.toMatch(/exit code [^1]|invalid|PANIC/);
  } finally {
    await server.remove();
  }
});

test('what a killed one left is removed by the next fetch', async () => {
  const { segments, holds } = await past();
  const { server } = await recover(await past());
  try {
    const agent = await untilAgent(server);
    await untilLogged(server, `restored log file "${segments[5]}"`);
    kill(agent, 'SIGKILL');
    await untilOpen(server);
    expect(await summary(server)).toEqual(holds);
    await server.stop();
    await untilNothingLeft(server);
  } finally {
    await server.remove();
  }
});

test('that stands still: the server goes on without it', async () => {
  const { segments, holds } = await past();
  // A few, as each of them waits for some seconds.
  const { server } = await recover(await past());
  try {
    const agent = await untilAgent(server);
    await untilLogged(server, `restored log file "${segments[3]}"`);
    kill(agent, 'SIGSTOP');
    const from = server.log().length;
    await waitFor(
      'two segments without it',
      () =>
        (
          server
            .log()
            .slice(from)
            .match(/restored log file/g) ?? []
        ).length >= 2,
      60_000,
      () => server.log().slice(from),
    );
    expect(agentsOf(server.dataDirectory)).toEqual([agent]);
    kill(agent, 'SIGCONT');
    await untilOpen(server);
    expect(await summary(server)).toEqual(holds);
    await server.stop();
    await untilNothingLeft(server);
  } finally {
    await server.remove();
  }
});
