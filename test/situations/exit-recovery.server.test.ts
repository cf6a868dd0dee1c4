import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';

import { STATUS } from '../../src/exit.ts';
import { Breakable, killProgram, leftoversIn } from '../harness/failures.ts';
import { summary, untilOpen, untilStopped } from '../harness/ledger.ts';
import { startSilent } from '../harness/net/silent.ts';
import { pastOf } from '../harness/past.ts';
import { PostgresServer } from '../harness/postgres.ts';
import { situation } from '../harness/situations.ts';
import { fetchTroubles } from './fetched.ts';
import { snapshot } from './refused.ts';

describe('what a recovery makes of each status of wal-fetch', () => {
  situation('a failure stops it before anything opens, and it completes when all is mended', async (version) => {
    const past = await pastOf(version);
    const breakable = await Breakable.make(past);
    await using server = new PostgresServer(snapshot({ dataDirectory: past.backup }));
    const settings = { restore_command: breakable.fetchCommand };
    const recovering = { signal: 'recovery', settings, env: breakable.host.env } as const;
    const [gap = '', , invalid = '', withoutKey = '', unwritable = ''] = past.segments;
    const troubles = fetchTroubles(past, breakable, server.dataDirectory, { gap, invalid, withoutKey, unwritable });
    for (const { kind, says, begin, mend } of troubles) {
      const from = server.log().length;
      await begin();
      await server.start({ ...recovering, waitUntilReady: false });
      await expectStopped(server);
      const told = server.log().slice(from);
      const status = STATUS[kind].strict;
      expect(told).toMatch(
        new RegExp(`FATAL: .*could not restore file .*: child process exited with exit code ${status}$`, 'm'),
      );
      expect(told).toMatch(says);
      await mend();
    }
    await server.start(recovering);
    await untilOpen(server);
    expect(await summary(server)).toEqual(past.held);
  });

  situation('SIGKILL and SIGTERM stop it as well', async (version) => {
    const past = await pastOf(version);
    await using silent = await startSilent();
    const breakable = await Breakable.make(past, silent.env);
    await using server = new PostgresServer(snapshot({ dataDirectory: past.backup }));
    const settings = { restore_command: breakable.fetchCommand };
    const recovering = { signal: 'recovery', settings, env: breakable.host.env } as const;
    const stuck = breakable.configured({ archives: [silent.archive] }, /./);
    await stuck.begin();
    for (const [signal, ends] of [
      ['SIGKILL', `child process exited with exit code ${STATUS.bug.strict}`],
      ['SIGTERM', 'exited with exit code 1'],
    ] as const) {
      const from = server.log().length;
      await server.start({ ...recovering, waitUntilReady: false });
      await silent.untilAsked(() => server.log().slice(from));
      await killProgram(server, signal);
      await expectStopped(server);
      expect(server.log().slice(from)).toContain(ends);
    }
    await stuck.mend();
    await server.start(recovering);
    await untilOpen(server);
    expect(await summary(server)).toEqual(past.held);
  });
});

/** Ended by itself, with nothing opened and nothing left behind: the same recovery can be started again. */
async function expectStopped(server: PostgresServer): Promise<void> {
  await untilStopped(server);
  expect((await server.exited).code).toBe(1);
  expect(server.log()).not.toContain('archive recovery complete');
  expect(existsSync(join(server.dataDirectory, 'recovery.signal'))).toBe(true);
  expect(leftoversIn(server.dataDirectory)).toEqual([]);
}
