import { expect, test } from 'vitest';

import { agentsOf } from '../harness/agents.ts';
import { copyArchive, Host } from '../harness/archiving.ts';
import { Removable, TracedRestore } from '../harness/interference.ts';
import { logged, startCopy, summary, untilOpen, untilStopped, type Summary } from '../harness/ledger.ts';
import type { PostgresServer } from '../harness/postgres.ts';
import { AWAY, times } from '../harness/standbys.ts';
import { waitFor } from '../harness/wait.ts';
import { makePast, recover, untilNothingLeft, type Past } from './recovering.ts';

let made: Promise<Past> | undefined;
function past(): Promise<Past> {
  made ??= makePast();
  return made;
}

/** By then an agent works, and some segments lie ready. */
const AT_REQUEST = 8;
/** For half a minute a standby's agent remembers that the archive was away. */
const REMEMBERED_MS = 60_000;

interface Losing {
  readonly server: PostgresServer;
  readonly host: Host;
  readonly archive: Removable;
}

/** Starts a server whose archive goes away in the middle of its recovery. */
async function losing(signal: 'recovery' | 'standby'): Promise<Losing> {
  const { site, backup } = await past();
  const archive = new Removable(copyArchive(site.archives[0]));
  const host = await Host.make(site, { archives: [{ url: archive.path }], agent: {} });
  const traced = new TracedRestore(host.restoreCommand, { before: `[ $n = ${AT_REQUEST} ] && ${archive.shell}` });
  const settings = { ...host.restoring, restore_command: traced.command, wal_retrieve_retry_interval: '100ms' };
  const server = await startCopy(backup, { signal, settings, env: host.env, waitUntilReady: false });
  return { server, host, archive };
}

test('an archive that goes away stops recovery, whatever lies ready, and it goes on when it is back', async () => {
  const { server, host, archive } = await losing('recovery');
  try {
    await untilStopped(server);
    expect(server.log()).toContain('child process exited with exit code 202');
    expect(server.log()).not.toContain('archive recovery complete');
    await untilNothingLeft(server);
    archive.bringBack();
    await server.start({ settings: host.restoring, env: host.env });
    await untilOpen(server);
    expect(await summary(server)).toEqual((await past()).holds);
  } finally {
    await server.remove();
  }
});

test('a standby lives through it, and goes on when the archive is back', async () => {
  const { server, archive } = await losing('standby');
  try {
    await waitFor(
      'it to ask in vain',
      () => times(server, AWAY) >= 5,
      REMEMBERED_MS,
      () => server.log().slice(-4_000),
    );
    expect(server.pid).toBeDefined();
    archive.bringBack();
    await untilAllIsThere(server, (await past()).holds);
    expect(logged(server, /FATAL|PANIC/)).toBe(false);
    await server.restart();
    await untilAllIsThere(server, (await past()).holds);
    await server.stop();
    await untilNothingLeft(server);
  } finally {
    await server.remove();
  }
});

async function untilAllIsThere(server: PostgresServer, { checksum }: Summary): Promise<void> {
  await waitFor(
    'all rows',
    async () => (await summary(server).catch(() => undefined))?.checksum === checksum,
    REMEMBERED_MS,
    () => server.log().slice(-4_000),
  );
}

test('where the settings say so, a recovery has no agent', async () => {
  const { server } = await recover(await past(), { host: { agent: { enabled: false } } });
  try {
    await untilOpen(server);
    // One that was started would stay for a minute.
    expect(agentsOf(server.dataDirectory)).toEqual([]);
    expect(await summary(server)).toEqual((await past()).holds);
  } finally {
    await server.remove();
  }
});
