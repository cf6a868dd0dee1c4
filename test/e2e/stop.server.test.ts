import { existsSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { Host, makeSite, objectKeys, objectPath } from '../harness/archiving.ts';
import { Removable, TracedRestore } from '../harness/interference.ts';
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
  waiting,
} from '../harness/ledger.ts';
import { startPostgres, type PostgresServer } from '../harness/postgres.ts';
import { waitFor } from '../harness/wait.ts';

test('a fast stop takes along what waits; what it cannot, the next start does', async () => {
  const site = makeSite();
  const host = await Host.make(site);
  const archive = new Removable(site.archives[0]);
  await using server = await startPostgres({
    version: 18,
    walSegmentSizeMb: 1,
    settings: host.archiving,
    env: host.env,
  });
  await createLedger(server);
  const backup = await takeBackup(server);
  await fillSegments(server, 1);
  await untilAllArchived(server);

  archive.remove();
  const first = await fillSegments(server, 5);
  await untilLogged(server, 'archive command failed with exit code 69');
  archive.bringBack();
  expect(await server.stop()).toEqual({ code: 0, signal: null });
  expect(namesIn(archive.path)).toEqual(expect.arrayContaining(first));

  await server.start();
  archive.remove();
  const second = await fillSegments(server, 5);
  expect(await server.stop()).toEqual({ code: 0, signal: null });
  expect(waiting(server)).toEqual(expect.arrayContaining(second));
  archive.bringBack();
  await server.start();
  const all = await summary(server);
  await switchSegment(server);
  await untilAllArchived(server);
  expect(namesIn(archive.path)).toEqual(expect.arrayContaining(second));

  const settings = { restore_command: host.restoreCommand };
  await using copy = await startCopy(backup, { signal: 'recovery', settings, env: host.env });
  await untilOpen(copy);
  expect(await summary(copy)).toEqual(all);
});

/** When a push is cut off, and what is killed with the postmaster. */
const CUTS = ['as it begins', 'as it writes', 'as it has just written'].flatMap((moment) =>
  ['the command as well', 'the archiver, and the command goes on alone', 'the postmaster alone'].map((victims) => ({
    moment,
    victims,
  })),
);

test('a server that is killed in the middle of a push pushes the same segment again, and nothing is refused', async () => {
  const site = makeSite();
  const host = await Host.make(site);
  const [archive] = site.archives;
  await using server = await startPostgres({
    version: 18,
    walSegmentSizeMb: 1,
    settings: host.archiving,
    env: host.env,
  });
  await createLedger(server);
  const backup = await takeBackup(server);
  await fillSegments(server, 1);
  await untilAllArchived(server);
  const leftover = join(archive, 'tmp', `elsewhere.1.${'0'.repeat(24)}.part`);
  writeFileSync(leftover, 'a leftover of another host');

  for (const { moment, victims } of CUTS) {
    await addRows(server, 200);
    const archiver = await archiverPid(server);
    const segment = await switchSegment(server);
    spinUntil(() => pushIs(moment, { archive, archiver, segment }));
    if (victims === 'the command as well') process.kill(-archiver, 'SIGKILL');
    if (victims.startsWith('the archiver')) process.kill(archiver, 'SIGKILL');
    await server.kill();
    await server.start();
    await fillSegments(server, 1);
    await untilAllArchived(server);
    expect(objectKeys(archive).filter((key) => key.endsWith(segment))).toHaveLength(1);
  }
  expect(logged(server, 'archive command failed'), server.log()).toBe(false);
  expect(objectKeys(archive).filter((key) => key.includes('/aside/'))).toEqual([]);
  expect(existsSync(leftover)).toBe(true);

  const all = await summary(server);
  await switchSegment(server);
  await untilAllArchived(server);
  const settings = { restore_command: host.restoreCommand };
  await using copy = await startCopy(backup, { signal: 'recovery', settings, env: host.env });
  await untilOpen(copy);
  expect(await summary(copy)).toEqual(all);
});

test('a push that is killed, by whatever killed it, is a failure like any other: it is tried again', async () => {
  const site = makeSite();
  const host = await Host.make(site);
  await using server = await startPostgres({
    version: 18,
    walSegmentSizeMb: 16,
    settings: host.archiving,
    env: host.env,
  });
  await createLedger(server);
  const archiver = await archiverPid(server);
  for (const signal of ['SIGKILL', 'SIGSEGV', 'SIGABRT'] as const) {
    const from = server.log().length;
    const segment = await switchSegment(server);
    process.kill(
      spinFor(() => programOf(archiver)),
      signal,
    );
    await untilLogged(server, 'archive command failed with exit code 70', from);
    await fillSegments(server, 1);
    await untilAllArchived(server);
    expect(objectKeys(site.archives[0]).filter((key) => key.endsWith(segment))).toHaveLength(1);
  }
  expect(await archiverPid(server)).toBe(archiver);
  expect(server.log()).not.toContain('exit code 73');
});

test('a stop ends a fetch that waits, with nothing left behind', async () => {
  const site = makeSite();
  const host = await Host.make(site);
  const [archive] = site.archives;
  await using server = await startPostgres({
    version: 18,
    walSegmentSizeMb: 1,
    settings: host.archiving,
    env: host.env,
  });
  await createLedger(server);
  const backup = await takeBackup(server);
  const [, missing = ''] = await fillSegments(server, 4);
  await untilAllArchived(server);
  rmSync(objectPath(archive, missing) ?? '');

  const traced = new TracedRestore(host.restoreCommand, {
    before: `[ "$1" = ${missing} ] && echo waits for ${missing} >&2`,
  });
  const settings = { restore_command: traced.command };
  for (const mode of ['fast', 'immediate'] as const) {
    await using copy = await startCopy(backup, { signal: 'recovery', settings, env: host.env });
    await untilLogged(copy, `waits for ${missing}`);
    await copy.stop(mode);
    expect(copy.log()).not.toContain('exit code 207');
    await waitFor('the commands to end', () => processesIn(copy.dataDirectory).length === 0);
    const files = readdirSync(join(copy.dataDirectory, 'pg_wal'));
    expect(files.filter((name) => name.startsWith('xlogtemp') || name === 'RECOVERYXLOG')).toEqual([]);
    expect(existsSync(join(copy.dataDirectory, 'recovery.signal'))).toBe(true);
  }
});

interface Push {
  readonly archive: string;
  readonly archiver: number;
  readonly segment: string;
}

/** Whether the push has come so far, or farther. */
function pushIs(moment: string, { archive, archiver, segment }: Push): boolean {
  if (moment === 'as it begins') return childrenOf(archiver).length > 0 || isStored(archive, segment);
  if (moment === 'as it writes') return readdirSync(join(archive, 'tmp')).length > 1 || isStored(archive, segment);
  return isStored(archive, segment);
}

function isStored(archive: string, segment: string): boolean {
  const [system = ''] = readdirSync(archive).filter((name) => name !== 'tmp');
  return existsSync(join(archive, system, 'wal', segment.slice(0, 16), segment));
}

function childrenOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  } catch {
    return []; // It has ended.
  }
}

async function archiverPid(server: PostgresServer): Promise<number> {
  const [row] = await server.query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'archiver'");
  return Number(row?.['pid']);
}

/** The process of walseal itself: the archiver's shell's launcher's child, once it has become the program. */
function programOf(archiver: number): number | undefined {
  const [shell] = childrenOf(archiver);
  const [launcher] = childrenOf(Number(shell));
  const [program] = childrenOf(Number(launcher));
  const isProgram = program !== undefined && commandOf(program) === 'walseal';
  return isProgram ? Number(program) : undefined;
}

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '';
  }
}

function spinFor<T>(find: () => T | undefined): T {
  let found: T | undefined;
  spinUntil(() => (found = find()) !== undefined);
  if (found === undefined) throw new Error('nothing was found');
  return found;
}

/** Processes whose current directory is this one, as that of all commands of a server is. */
function processesIn(directory: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && readlinkSync(`/proc/${pid}/cwd`) === directory;
    } catch {
      return false; // It has ended.
    }
  });
}

/** Looks without a pause, since a push is over in milliseconds. */
function spinUntil(condition: () => boolean): void {
  const end = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error('the moment never came');
  }
}

function namesIn(archive: string): string[] {
  return objectKeys(archive).map((key) => key.slice(key.lastIndexOf('/') + 1));
}
