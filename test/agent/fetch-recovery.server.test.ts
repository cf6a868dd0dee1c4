import { readdirSync, renameSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

import { readProc } from '../harness/agents.ts';
import { damage } from '../harness/archiving.ts';
import { summary, untilOpen, untilStopped } from '../harness/ledger.ts';
import { needStore } from '../harness/need.ts';
import { startRelay, type Relay } from '../harness/net/relay.ts';
import { times } from '../harness/standbys.ts';
import { makeCloudArchive } from '../harness/stores/archives.ts';
import { isRunning, waitFor } from '../harness/wait.ts';
import { makePast, objectOf, recover, untilAgent, untilNothingLeft, type Past } from './recovering.ts';

let made: Promise<Past> | undefined;
function past(): Promise<Past> {
  made ??= makePast();
  return made;
}

/** Whole segments that were asked for at a store, in order. */
function downloads(relay: Relay): string[] {
  return relay.requests.flatMap(({ method, path }) => {
    const [, name] = /\/([0-9A-F]{24})(\?|$)/.exec(path) ?? [];
    return method === 'GET' && name !== undefined ? [name] : [];
  });
}

describe.skipIf(needStore('minio'))('at a store', () => {
  test('each segment of a recovery is downloaded once, the last one too, and few lie ready', async () => {
    const { table, env } = await makeCloudArchive('s3');
    const cloudPast = await makePast({ segments: 40, to: { archives: [table], env } });
    await using relay = await startRelay({ target: String(table['endpoint']) });
    const archives = [{ ...table, endpoint: relay.endpoint }];
    const { server } = await recover(cloudPast, { host: { archives, env } });
    try {
      const agent = await untilAgent(server);
      await untilOpen(server);
      expect(await summary(server)).toEqual(cloudPast.holds);
      const asked = downloads(relay);
      const counts = cloudPast.segments.map((name) => asked.filter((one) => one === name).length);
      expect(counts).toEqual(cloudPast.segments.map(() => 1));
      expect(isRunning(agent)).toBe(true);
      await server.stop();
      await untilNothingLeft(server);
    } finally {
      await server.remove();
    }
  });

  test('a fast stop in the middle of a fetch by the agent ends recovery, and the next start goes on', async () => {
    const { table, env } = await makeCloudArchive('s3');
    const cloudPast = await makePast({ segments: 16, to: { archives: [table], env } });
    await using relay = await startRelay({ target: String(table['endpoint']) });
    const held = cloudPast.segments[9] ?? '';
    const released = Promise.withResolvers<undefined>();
    relay.misbehave(
      { do: 'hold', until: released.promise },
      { when: ({ path }) => path.includes(held), times: Infinity },
    );
    const archives = [{ ...table, endpoint: relay.endpoint }];
    const { server } = await recover(cloudPast, { host: { archives, env } });
    try {
      await untilAgent(server);
      await waitFor('the server to wait for it', () => waitsFor(held));
      const from = server.log().length;
      await server.stop('fast');
      expect(server.log().slice(from)).not.toMatch(/PANIC|exit code/);
      released.resolve(undefined);
      relay.behave();
      await untilNothingLeft(server);
      await server.start();
      await untilOpen(server);
      expect(await summary(server)).toEqual(cloudPast.holds);
    } finally {
      released.resolve(undefined);
      await server.remove();
    }
  });

  test('a standby whose archive is silent is told so at once from the second time on', async () => {
    const { table, env } = await makeCloudArchive('s3');
    const cloudPast = await makePast({ segments: 12, to: { archives: [table], env } });
    await using relay = await startRelay({ target: String(table['endpoint']) });
    const silent = cloudPast.segments.slice(6);
    relay.misbehave(
      { do: 'silence' },
      { when: ({ path }) => silent.some((name) => path.includes(name)), times: Infinity },
    );
    const host = { archives: [{ ...table, endpoint: relay.endpoint }], env, fetch: { standby_deadline: '1s' } };
    const settings = { wal_retrieve_retry_interval: '100ms' };
    const { server } = await recover(cloudPast, { signal: 'standby', host, settings });
    const SILENT = /wal-fetch: .*received nothing/;
    try {
      await waitFor('the first failure', () => times(server, SILENT) > 0);
      const asked = downloads(relay).length;
      const told = times(server, SILENT);
      await waitFor('it to ask in vain', () => times(server, SILENT) >= told + 4);
      expect(downloads(relay)).toHaveLength(asked);
      expect(server.pid).toBeDefined();
    } finally {
      await server.remove();
    }
  });
});

/** Whether a restore_command waits for that file. */
function waitsFor(name: string): boolean {
  return processes().some((words) => words.includes('wal-fetch') && words.includes(name));
}

test('an object that is corrupt stops recovery where it is asked for, and never earlier', async () => {
  const { segments, holds } = await past();
  const { server, archive } = await recover(await past(), {
    prepare: (copy) => {
      damage(objectOf(copy, segments[12]));
    },
  });
  try {
    await untilStopped(server);
    expect(server.log()).toContain('child process exited with exit code 204');
    expect(server.log()).toContain(`restored log file "${segments[11]}"`);
    expect(server.log()).toMatch(new RegExp(`wal-fetch: .*${segments[12]}`));
    await untilNothingLeft(server);
    damage(objectOf(archive, segments[12]));
    await server.start();
    await untilOpen(server);
    expect(await summary(server)).toEqual(holds);
  } finally {
    await server.remove();
  }
});

test('a hole ahead stops recovery where it is asked for, as a gap', async () => {
  const { segments, holds } = await past();
  const { server, archive } = await recover(await past(), {
    prepare: (copy) => {
      const path = objectOf(copy, segments[12]);
      renameSync(path, `${copy}/kept`);
    },
  });
  try {
    await untilStopped(server);
    expect(server.log()).toContain('child process exited with exit code 207');
    expect(server.log()).toContain(`restored log file "${segments[11]}"`);
    renameSync(`${archive}/kept`, `${objectOf(archive, segments[11]).slice(0, -24)}${segments[12]}`);
    await server.start();
    await untilOpen(server);
    expect(await summary(server)).toEqual(holds);
  } finally {
    await server.remove();
  }
});

/** The command lines of all processes. */
function processes(): string[][] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => readProc(Number(pid), 'cmdline').split('\0'));
}
