import { existsSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect } from 'vitest';

import { processesIn } from '../harness/archiver.ts';
import { Host, makeSite, objectKeys, objectPath } from '../harness/archiving.ts';
import { Removable, TracedRestore } from '../harness/interference.ts';
import {
  createLedger,
  fillSegments,
  startCopy,
  summary,
  takeBackup,
  untilAllArchived,
  untilLogged,
  untilOpen,
  untilStopped,
  waiting,
  type Summary,
} from '../harness/ledger.ts';
import { startNeverAccepting } from '../harness/net/never-accepts.ts';
import { startPostgres, type StopMode } from '../harness/postgres.ts';
import { situation } from '../harness/situations.ts';
import type { Version } from '../harness/server-user.ts';
import { waitFor } from '../harness/wait.ts';

const CLEAN = { code: 0, signal: null };

// Most of their time they wait.
describe.concurrent('Stopping', () => {
  situation('a fast stop archives all that waits, 50 segments', stopWithMuchToDo);
  for (const mode of ['fast', 'smart'] as const)
    situation(`a ${mode} stop ends though the archive is gone, and the next start archives what waits`, (version) =>
      stopWithoutArchive(version, mode),
    );
  situation('a fast stop ends within a minute though the archive hangs, and nothing is lost', stopWithHangingArchive);
  for (const mode of ['fast', 'immediate'] as const)
    situation(
      `${mode === 'fast' ? 'a fast' : 'an immediate'} stop ends a fetch that waits; nothing is left`,
      (version) => stopWhileFetching(version, mode),
    );
  situation('a fetch that gets a SIGTERM ends the recovery, and the next start finishes it', terminateFetch);
});

async function stopWithMuchToDo(version: Version): Promise<void> {
  const site = makeSite();
  const host = await Host.make(site);
  const archive = new Removable(site.archives[0]);
  const { archiving, env } = host;
  await using server = await startPostgres({ version, walSegmentSizeMb: 1, settings: archiving, env });
  await createLedger(server);
  archive.remove();
  const segments = await fillSegments(server, 50, 1);
  await untilLogged(server, 'archive command failed with exit code 69');
  archive.bringBack();
  expect(await server.stop()).toEqual(CLEAN);
  expect(objectKeys(archive.path).map((key) => basename(key))).toEqual(expect.arrayContaining(segments));
  expect(waiting(server)).toEqual([]);
}

async function stopWithoutArchive(version: Version, mode: StopMode): Promise<void> {
  const site = makeSite();
  const host = await Host.make(site);
  const archive = new Removable(site.archives[0]);
  const { archiving, env } = host;
  await using server = await startPostgres({ version, walSegmentSizeMb: 1, settings: archiving, env });
  await createLedger(server);
  const backup = await takeBackup(server);
  await fillSegments(server, 1);
  await untilAllArchived(server);
  archive.remove();
  const segments = await fillSegments(server, 5);
  const all = await summary(server);
  expect(await server.stop(mode)).toEqual(CLEAN);
  expect(waiting(server)).toEqual(expect.arrayContaining(segments));

  archive.bringBack();
  await server.start();
  await untilAllArchived(server);
  const settings = { restore_command: host.restoreCommand };
  await using copy = await startCopy(backup, { signal: 'recovery', settings, env });
  await untilOpen(copy);
  expect(await summary(copy)).toEqual(all);
}

async function stopWithHangingArchive(version: Version): Promise<void> {
  const site = makeSite();
  await using hanging = await startNeverAccepting();
  const archives = [{ url: 's3://bucket/wal', region: 'eu-central-1', endpoint: hanging.endpoint }];
  const credentials = { AWS_ACCESS_KEY_ID: 'nobody', AWS_SECRET_ACCESS_KEY: 'nothing' };
  const host = await Host.make(site, { archives, env: credentials });
  const { archiving, env } = host;
  await using server = await startPostgres({ version, walSegmentSizeMb: 1, settings: archiving, env });
  await createLedger(server);
  const segments = await fillSegments(server, 3);
  // The harness gives a stop a minute.
  expect(await server.stop()).toEqual(CLEAN);
  expect(server.log()).toContain('archive command failed with exit code 69');
  expect(waiting(server)).toEqual(expect.arrayContaining(segments));

  host.configure({});
  await server.start();
  await untilAllArchived(server);
  expect(objectKeys(site.archives[0]).map((key) => basename(key))).toEqual(expect.arrayContaining(segments));
}

/** A base backup, and an archive that lacks one segment: a fetch of it waits and asks again for 10 s. */
interface Gap {
  readonly backup: string;
  readonly host: Host;
  readonly missing: string;
  readonly all: Summary;
  readonly close: () => void;
}

async function makeGap(version: Version): Promise<Gap> {
  const site = makeSite();
  const host = await Host.make(site);
  const { archiving, env } = host;
  await using server = await startPostgres({ version, walSegmentSizeMb: 1, settings: archiving, env });
  await createLedger(server);
  const backup = await takeBackup(server);
  const [, missing = ''] = await fillSegments(server, 4);
  const all = await summary(server);
  await untilAllArchived(server);
  const path = objectPath(site.archives[0], missing) ?? '';
  const elsewhere = join(site.directory, 'taken away');
  renameSync(path, elsewhere);
  const close = (): void => {
    renameSync(elsewhere, path);
  };
  return { backup, host, missing, all, close };
}

async function stopWhileFetching(version: Version, mode: StopMode): Promise<void> {
  const { backup, host, missing } = await makeGap(version);
  const traced = new TracedRestore(host.restoreCommand, {
    before: `[ "$1" = ${missing} ] && echo waits for ${missing} >&2`,
  });
  const settings = { restore_command: traced.command };
  await using copy = await startCopy(backup, { signal: 'recovery', settings, env: host.env });
  await untilLogged(copy, `waits for ${missing}`);
  await copy.stop(mode);
  expect(copy.log()).not.toContain('exit code 207');
  await waitFor('the commands to end', () => processesIn(copy.dataDirectory).length === 0);
  const files = readdirSync(join(copy.dataDirectory, 'pg_wal'));
  expect(files.filter((name) => name.startsWith('xlogtemp') || name === 'RECOVERYXLOG')).toEqual([]);
  expect(existsSync(join(copy.dataDirectory, 'recovery.signal'))).toBe(true);
}

async function terminateFetch(version: Version): Promise<void> {
  const { backup, host, missing, all, close } = await makeGap(version);
  const { restoreCommand, env } = host;
  const options = { settings: { restore_command: restoreCommand }, env };
  await using copy = await startCopy(backup, { ...options, signal: 'recovery', waitUntilReady: false });
  await waitFor('the fetch to wait', () => fetchOf(copy.dataDirectory, missing) !== undefined);
  process.kill(fetchOf(copy.dataDirectory, missing) ?? 0, 'SIGTERM');
  await untilStopped(copy);
  expect(copy.log()).not.toContain('archive recovery complete');
  expect(existsSync(join(copy.dataDirectory, 'recovery.signal'))).toBe(true);
  close();
  await copy.start(options);
  await untilOpen(copy);
  expect(await summary(copy)).toEqual(all);
}

/** The program that fetches this segment. */
function fetchOf(dataDirectory: string, name: string): number | undefined {
  return processesIn(dataDirectory)
    .map(Number)
    .find((pid) => isFetch(pid, name));
}

function isFetch(pid: number, name: string): boolean {
  try {
    const [program = '', ...args] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return program.endsWith('/walseal') && args.includes(name);
  } catch {
    return false; // It has ended.
  }
}
