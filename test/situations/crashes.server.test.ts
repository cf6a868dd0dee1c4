import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';

import { archiverPid, MOMENTS, processesIn, spinForProgram, spinUntilPushIs } from '../harness/archiver.ts';
import { Host, makeSite, objectKeys, type Site } from '../harness/archiving.ts';
import {
  addRows,
  createLedger,
  fillSegments,
  logged,
  startCopy,
  summary,
  switchSegment,
  takeBackup,
  untilAllArchived,
  untilLogged,
  untilOpen,
} from '../harness/ledger.ts';
import { startPostgres, type PostgresServer } from '../harness/postgres.ts';
import { makeScratch } from '../harness/scratch.ts';
import { situation } from '../harness/situations.ts';
import { serverUser, writeAsServer, type Version } from '../harness/server-user.ts';
import { waitFor } from '../harness/wait.ts';

type Crash = (server: PostgresServer, archiver: number) => Promise<void>;

const OVER = 'a backend crashes, and the server starts over by itself';

/** What happens to a server while its archiver runs a push. It is stopped, or goes on, afterwards. */
const CRASHES: Readonly<Record<string, Crash>> = {
  'the postmaster is killed': async (server) => {
    await server.kill();
  },
  'the archiver is killed with its command, and the postmaster': async (server, archiver) => {
    process.kill(-archiver, 'SIGKILL');
    await server.kill();
  },
  'the archiver is killed, its command goes on alone, and so is the postmaster': async (server, archiver) => {
    process.kill(archiver, 'SIGKILL');
    await server.kill();
  },
  'an immediate stop': async (server) => {
    await server.stop('immediate');
  },
  'a fast stop': async (server) => {
    await server.stop('fast');
  },
  [OVER]: async (server) => {
    const backend = await server.client();
    const { rows } = await backend.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    process.kill(rows[0]?.pid ?? 0, 'SIGKILL');
    await untilLogged(server, 'all server processes terminated; reinitializing');
    await untilOpen(server);
  },
};

/** Lines of sh that archive_command runs when the push has succeeded; the server never sees its 0. */
const KILLS: Readonly<Record<string, string>> = {
  'the archiver is killed': 'kill -KILL $PPID',
  'the archiver and the postmaster are killed': 'kill -KILL $(head -n 1 postmaster.pid) $PPID',
  'an immediate stop comes': 'kill -QUIT $(head -n 1 postmaster.pid)',
};

describe('Crashes while archiving', () => {
  for (const [what, crash] of Object.entries(CRASHES))
    situation(`${what}, in the middle of a push: it is pushed again, and nothing is refused`, (version) =>
      crashWhilePushing(version, crash),
    );

  situation('a push that is killed, by whatever killed it, is a failure like any other: it is tried again', killPush);

  for (const [what, kill] of Object.entries(KILLS))
    situation(
      `${what}, after the push's 0 and before the server notes it: the same push again is a success`,
      (version) => crashAfterPush(version, kill),
    );
});

async function crashWhilePushing(version: Version, crash: Crash): Promise<void> {
  const site = makeSite();
  const host = await Host.make(site);
  const [archive] = site.archives;
  const { archiving, env } = host;
  await using server = await startPostgres({ version, walSegmentSizeMb: 1, settings: archiving, env });
  await createLedger(server);
  const backup = await takeBackup(server);
  await fillSegments(server, 1);
  await untilAllArchived(server);
  const leftover = join(archive, 'tmp', `elsewhere.1.${'0'.repeat(24)}.part`);
  writeFileSync(leftover, 'a leftover of another host');

  // An archiver that dies with a backend comes back after 10 s: one such crash is enough.
  for (const moment of crash === CRASHES[OVER] ? MOMENTS.slice(1, 2) : MOMENTS) {
    await addRows(server, 200);
    const archiver = await archiverPid(server);
    const segment = await switchSegment(server);
    spinUntilPushIs(moment, { archive, archiver, segment });
    await crash(server, archiver);
    if (server.pid === undefined) await server.start();
    await archiverPid(server);
    await fillSegments(server, 1);
    await untilAllArchived(server);
    expect(objectKeys(archive).filter((key) => key.endsWith(segment))).toHaveLength(1);
  }
  expect(logged(server, 'archive command failed'), server.log()).toBe(false);
  expect(existsSync(leftover)).toBe(true);
  await expectWhole(site, host, server, backup);
}

async function killPush(version: Version): Promise<void> {
  const site = makeSite();
  const host = await Host.make(site);
  const { archiving, env } = host;
  await using server = await startPostgres({ version, walSegmentSizeMb: 16, settings: archiving, env });
  await createLedger(server);
  const archiver = await archiverPid(server);
  for (const signal of ['SIGKILL', 'SIGSEGV', 'SIGABRT'] as const) {
    const from = server.log().length;
    const segment = await killOnePush(server, site.archives[0], archiver, signal);
    await untilLogged(server, 'archive command failed with exit code 70', from);
    await fillSegments(server, 1);
    await untilAllArchived(server);
    expect(objectKeys(site.archives[0]).filter((key) => key.endsWith(segment))).toHaveLength(1);
  }
  expect(await archiverPid(server)).toBe(archiver);
  expect(server.log()).not.toContain('exit code 73');
}

/** Ends segments until one's push is caught and killed: a busy machine may miss the first. */
async function killOnePush(
  server: PostgresServer,
  archive: string,
  archiver: number,
  signal: NodeJS.Signals,
): Promise<string> {
  for (let attempt = 0; attempt < 20; attempt += 1) {
    const segment = await switchSegment(server);
    const program = spinForProgram({ archive, archiver, segment });
    if (program !== undefined && killed(program, signal)) return segment;
    await untilAllArchived(server);
  }
  throw new Error('no push was caught while it ran');
}

function killed(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false; // It has ended.
  }
}

async function crashAfterPush(version: Version, kill: string): Promise<void> {
  const site = makeSite();
  const host = await Host.make(site);
  const directory = makeScratch('kill', serverUser());
  const [armed, notes] = [join(directory, 'armed'), join(directory, 'notes')];
  const thenKill = `echo %f $status >> ${notes}; [ ! -e ${armed} ] || { rm ${armed}; ${kill}; sleep 1; }`;
  const archive_command = `${host.archiveCommand}; status=$?; ${thenKill}; exit $status`;
  const settings = { ...host.archiving, archive_command };
  await using server = await startPostgres({ version, walSegmentSizeMb: 1, settings, env: host.env });
  await createLedger(server);
  const backup = await takeBackup(server);
  await fillSegments(server, 1);
  await untilAllArchived(server);

  writeAsServer(armed, '');
  const segment = await switchSegment(server);
  await waitFor('the push to be cut off from its server', () => !existsSync(armed));
  if (kill.includes('postmaster')) {
    await waitFor('all of the server to end', () => processesIn(server.dataDirectory).length === 0);
    await server.exited;
    await server.start();
  }
  await untilOpen(server);
  await archiverPid(server);
  await fillSegments(server, 1);
  await untilAllArchived(server);
  const pushes = notesIn(notes).filter((note) => note.startsWith(segment));
  expect(pushes).toEqual([`${segment} 0`, `${segment} 0`]);
  expect(logged(server, 'archive command failed'), server.log()).toBe(false);
  await expectWhole(site, host, server, backup);
}

function notesIn(path: string): string[] {
  return readFileSync(path, 'utf8').split('\n').filter(Boolean);
}

/** Nothing went aside or lies there twice, and the archive alone brings back all that there is. */
async function expectWhole(site: Site, host: Host, server: PostgresServer, backup: string): Promise<void> {
  const all = await summary(server);
  await switchSegment(server);
  await untilAllArchived(server);
  expect(objectKeys(site.archives[0]).filter((key) => key.includes('/aside/'))).toEqual([]);
  const settings = { restore_command: host.restoreCommand };
  await using copy = await startCopy(backup, { signal: 'recovery', settings, env: host.env });
  await untilOpen(copy);
  expect(await summary(copy)).toEqual(all);
}
