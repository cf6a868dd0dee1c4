import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';

import { ABSENT, STATUS } from '../../src/exit.ts';
import { Breakable, killProgram, leftoversIn } from '../harness/failures.ts';
import { TracedRestore } from '../harness/interference.ts';
import { summary, untilOpen, untilStopped } from '../harness/ledger.ts';
import { startSilent } from '../harness/net/silent.ts';
import { pastOf, type Past } from '../harness/past.ts';
import { PostgresServer, type ServerOptions } from '../harness/postgres.ts';
import type { Version } from '../harness/server-user.ts';
import { situation } from '../harness/situations.ts';
import { untilAsleep } from '../harness/standbys.ts';
import { waitFor } from '../harness/wait.ts';
import { fetchTroubles, type FetchTrouble } from './fetched.ts';
import { snapshot } from './refused.ts';

const PROMOTE = 'SELECT pg_promote(wait => false)';

/** A standby that lives from the archive alone, whose later segments are not archived yet. */
interface Standby extends AsyncDisposable {
  readonly past: Past;
  readonly breakable: Breakable;
  readonly server: PostgresServer;
  readonly options: ServerOptions;
  readonly traced: TracedRestore;
  readonly troubles: readonly FetchTrouble[];
}

describe('what a standby makes of each status of wal-fetch', () => {
  situation('a failure is lived through, asked again, and forgotten when it is mended', async (version) => {
    await using standby = await start(version, '200ms');
    const { server, past, troubles } = standby;
    for (const { kind, says, begin, mend } of troubles) {
      const from = server.log().length;
      await begin();
      const status = STATUS[kind].standby === ABSENT ? 1 : STATUS[kind].standby;
      await untilAnswered(standby, status);
      if (status !== 1) expect(server.log().slice(from)).toMatch(says);
      expect(await server.query('SELECT pg_is_in_recovery() AS standby')).toEqual([{ standby: true }]);
      await mend();
      await untilAnswered(standby, 1);
    }
    await untilAllIsThere(standby);
    expect(server.log()).not.toContain('child process exited');
    expect(await summary(server)).toEqual(past.held);
  });

  situation(
    'while it is promoted a failure stops it; it is a standby again, and is promoted when all is mended',
    async (version) => {
      // Long enough that it sleeps when it has just asked.
      await using standby = await start(version, '1s');
      const { server, past, options, troubles } = standby;
      for (const { kind, says, begin, mend } of troubles) {
        const status = STATUS[kind].standby === ABSENT ? 1 : STATUS[kind].standby;
        await begin();
        await untilAnswered(standby, status);
        await untilAsleep(server);
        const from = server.log().length;
        // It may stop before it has answered.
        await server.query(PROMOTE).catch(() => undefined);
        await untilStopped(server);
        const told = server.log().slice(from);
        expect(told).toMatch(
          new RegExp(
            `FATAL: .*could not restore file .*: child process exited with exit code ${STATUS[kind].strict}$`,
            'm',
          ),
        );
        expect(told).toMatch(says);
        expect(told).not.toContain('archive recovery complete');
        expect(existsSync(join(server.dataDirectory, 'standby.signal'))).toBe(true);
        expect(leftoversIn(server.dataDirectory)).toEqual([]);
        await mend();
        await server.start(options);
      }
      await untilAllIsThere(standby);
      await server.query(PROMOTE);
      await untilOpen(server);
      expect(await summary(server)).toEqual(past.held);
    },
  );

  situation('SIGKILL is lived through, SIGTERM stops it', async (version) => {
    await using silent = await startSilent();
    await using standby = await start(version, '200ms', silent.env);
    const { server, past, breakable, options, traced } = standby;
    const stuck = breakable.configured({ archives: [silent.archive] }, /./);
    const kill = async (signal: NodeJS.Signals): Promise<void> => {
      await stuck.begin();
      await silent.untilAsked(() => server.log().slice(-2_000));
      await killProgram(server, signal);
    };
    const asked = traced.requests().length;
    await kill('SIGKILL');
    await untilAnswered(standby, STATUS.bug.standby, asked);
    await kill('SIGTERM');
    await untilStopped(server);
    expect(existsSync(join(server.dataDirectory, 'standby.signal'))).toBe(true);
    await stuck.mend();
    await server.start(options);
    await untilAllIsThere(standby);
    expect(await summary(server)).toEqual(past.held);
  });
});

async function start(version: Version, interval: string, env: Readonly<Record<string, string>> = {}): Promise<Standby> {
  const past = await pastOf(version);
  const breakable = await Breakable.make(past, env);
  const [, gap = '', , invalid = '', withoutKey = '', unwritable = ''] = past.segments;
  for (const name of past.segments.slice(1)) breakable.withhold(name);
  const server = new PostgresServer(snapshot({ dataDirectory: past.backup }));
  const traced = new TracedRestore(breakable.fetchCommand);
  // The one that is under way, and one more.
  const settled = async (): Promise<void> => {
    const asked = traced.requests().length;
    await waitFor('two more answers', () => traced.requests().length > asked + 1);
  };
  const on = { gap, invalid, withoutKey, unwritable };
  const troubles = fetchTroubles(past, breakable, server.dataDirectory, on, settled);
  const settings = { restore_command: traced.command, wal_retrieve_retry_interval: interval };
  const options = { signal: 'standby', settings, env: breakable.host.env } as const;
  await server.start(options);
  const standby = { past, breakable, server, options, traced, troubles, [Symbol.asyncDispose]: () => server.remove() };
  await untilAnswered(standby, 1);
  return standby;
}

/** Until a request behind the first `before`, or from now on, was answered so. */
async function untilAnswered({ traced, server }: Standby, status: number, before?: number): Promise<void> {
  const from = before ?? traced.requests().length;
  await waitFor(
    `a request that ends with ${status}`,
    () =>
      traced
        .requests()
        .slice(from)
        .some((request) => request.status === status),
    30_000,
    () => `${JSON.stringify(traced.requests().slice(-5))}\n${server.log().slice(-4_000)}`,
  );
}

async function untilAllIsThere({ past, breakable, server }: Standby): Promise<void> {
  for (const name of past.segments) breakable.bring(name);
  await waitFor(
    'the standby to have everything',
    async () => (await summary(server).catch(() => undefined))?.rows === past.held.rows,
    30_000,
    () => server.log().slice(-4_000),
  );
}
