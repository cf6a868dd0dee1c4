import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { agentsOf, untilGone } from '../harness/agents.ts';
import { programs } from '../harness/archiving.ts';
import { archiverStatistics, fillSegments, untilAllArchived } from '../harness/ledger.ts';
import { isMissing } from '../harness/need.ts';
import type { PostgresServer } from '../harness/postgres.ts';
import { killWithUs } from '../harness/scratch.ts';
import { asUser, baseEnvironment, binary, serverUser } from '../harness/server-user.ts';
import { isRunning, waitFor } from '../harness/wait.ts';
import { archivedNames, openPlace, untilListening, type Place } from './place.ts';

/** A postmaster that is PID 1, as in a container without an init, takes the death of an orphan for a crash. */
const NAMESPACE = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'] as const;
const [unshare, ...OPTIONS] = NAMESPACE;
const isPossible = process.getuid?.() === 0 && spawnSync(unshare, [...OPTIONS, 'true']).status === 0;

test.runIf(!isMissing('unshare', isPossible))(
  'below a postmaster that is PID 1 none is started, and a service beside it can die',
  async () => {
    await using place = await openPlace(0);
    const { server, host } = place;
    const { dataDirectory } = server;
    server.configure({ ...host.archiving });
    await server.stop();
    const from = server.log().length;
    const inside = startAsFirst(server, place);
    try {
      await waitFor(
        'the server to accept connections',
        () => isReady(dataDirectory),
        60_000,
        () => server.log(),
      );
      await fillSegments(server, 12);
      await untilAllArchived(server);
      expect(agentsOf(dataDirectory)).toEqual([]);

      const service = spawn(join(await programs(), 'walseal'), ['agent', '--pgdata', dataDirectory], {
        cwd: '/',
        env: { ...baseEnvironment(), ...host.env },
        stdio: 'ignore',
        detached: true,
        ...asUser(serverUser()),
      });
      const pid = Number(service.pid);
      killWithUs(pid);
      expect(await untilListening(dataDirectory)).toBe(pid);
      const segments = await fillSegments(server, 5);
      await untilAllArchived(server);
      expect(archivedNames(place)).toEqual(expect.arrayContaining(segments));
      process.kill(pid, 'SIGKILL');
      await untilGone(pid);
      const later = await fillSegments(server, 3);
      await untilAllArchived(server);
      expect(archivedNames(place)).toEqual(expect.arrayContaining(later));
      expect((await archiverStatistics(server)).failed).toBe(0);
      expect(server.log().slice(from)).toContain('database system is ready to accept connections');
      expect(server.log().slice(from)).not.toMatch(/terminating any other active server processes|reinitializing/);
    } finally {
      inside.kill('SIGKILL');
      await waitFor('the end of the namespace', () => !isRunning(Number(inside.pid)));
    }
  },
);

/** Starts the stopped server's postmaster as the first process of a namespace of its own. */
function startAsFirst({ dataDirectory, version, socketDirectory }: PostgresServer, { host }: Place): ChildProcess {
  const { uid, gid } = serverUser();
  const log = openSync(join(socketDirectory, 'server.log'), 'a');
  const user = ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups'];
  const child = spawn(unshare, [...OPTIONS, ...user, binary(version, 'postgres'), '-D', dataDirectory], {
    cwd: '/',
    env: { ...baseEnvironment(), ...host.env },
    stdio: ['ignore', log, log],
    detached: true,
  });
  closeSync(log);
  killWithUs(Number(child.pid));
  return child;
}

function isReady(dataDirectory: string): boolean {
  try {
    const [pid, ...rest] = readFileSync(join(dataDirectory, 'postmaster.pid'), 'utf8').split('\n');
    return pid === '1' && rest[6]?.trim() === 'ready';
  } catch {
    return false;
  }
}
