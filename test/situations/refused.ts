import { renameSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';

import { contents, makeDirectory, type Host, type HostOptions } from '../harness/archiving.ts';
import {
  archiverStatistics,
  fillSegments,
  startCopy,
  summary,
  takeBackup,
  untilAllArchived,
  untilLogged,
  untilOpen,
} from '../harness/ledger.ts';
import { startLife, type Life, type Past } from '../harness/past.ts';
import type { PostgresServer } from '../harness/postgres.ts';
import { makeScratch } from '../harness/scratch.ts';
import { copyAsServer, serverUser, writeAsServer } from '../harness/server-user.ts';
import { waitFor } from '../harness/wait.ts';

/** What people meet when an archive refuses a file, and the steps by which they get out. */

/** What wal-push says of two files of one name: fingerprint, size and time of both. */
const BOTH_SIDES =
  /there fingerprint ([0-9a-f]{64}), \d+ bytes sealed, stored \d{4}-[^ ]+Z; here fingerprint ([0-9a-f]{64}), \d+ bytes, modified \d{4}-[^ ]+Z$/m;

/** Until the server was refused this file, and counts it. Returns all that it was told from `from` on. */
export async function untilRefused(server: PostgresServer, name: string, status: number, from = 0): Promise<string> {
  await untilLogged(server, `archive command failed with exit code ${status}`, from);
  await waitFor(`${name} to be counted as failed`, async () => {
    const { failed, lastFailed } = await archiverStatistics(server);
    return failed > 0 && lastFailed === name;
  });
  const told = server.log().slice(from);
  expect(told).toMatch(new RegExp(`DETAIL:  The failed archive command was: .*wal-push "pg_wal/${name}"`));
  return told;
}

/** What a refusal because of another file says first, and that it shows both. */
export function expectBothSides(told: string, archive: string, name: string): void {
  expect(told).toContain(`wal-push: archive file://${archive} holds a different file named ${name}: there `);
  const [, there, here] = BOTH_SIDES.exec(told) ?? [];
  expect(there).toBeDefined();
  expect(here).not.toBe(there);
}

/** The hint of a file, as one text. */
export function hintIn(told: string): string {
  return /^wal-push: hint: (.*)$/m.exec(told)?.[1] ?? '';
}

/** Until the server has archived what it had, and what comes after. Returns the last segment. */
export async function untilArchivingGoesOn(server: PostgresServer): Promise<string> {
  const [last = ''] = await fillSegments(server, 1);
  await untilAllArchived(server);
  await waitFor(`${last} to be the last that was archived`, async () => {
    const [row] = await server.query('SELECT last_archived_wal FROM pg_stat_archiver');
    return row?.['last_archived_wal'] === last;
  });
  return last;
}

/** Keeps a refused file under aside/, as the message says. */
export async function setAside({ host, server }: Life, name: string): Promise<void> {
  const { status, stderr } = await host.run('walseal', ['set-aside', `pg_wal/${name}`], server.dataDirectory);
  expect(status, stderr).toBe(0);
}

/** Has the server archive to a place of its own from now on, as the message says. Returns that place. */
export function ownUrl({ host }: Life, options: HostOptions = {}): string {
  const own = makeDirectory(join(makeScratch('own', serverUser()), 'archive'));
  host.configure({ ...options, archives: [{ url: own }] });
  return own;
}

/** That nothing of what was there is gone or another now, and nothing came but under aside/. */
export function expectUntouched(archive: string, before: Readonly<Record<string, string>>): void {
  const plain = Object.entries(contents(archive)).filter(([key]) => !key.includes('/aside/'));
  expect(Object.fromEntries(plain)).toEqual(before);
}

/** What a crash leaves between the command's 0 and the server's note of it: the file is pushed again. */
export function pushAgain(server: PostgresServer, name: string): void {
  const status = join(server.dataDirectory, 'pg_wal', 'archive_status', name);
  renameSync(`${status}.done`, `${status}.ready`);
}

/** Lays a file into pg_wal as one that the server wants archived. */
export function layReady(server: PostgresServer, name: string, content: Uint8Array | string): void {
  writeAsServer(join(server.dataDirectory, 'pg_wal', name), content);
  writeAsServer(join(server.dataDirectory, 'pg_wal', 'archive_status', `${name}.ready`), '');
}

/** A copy of a stopped server's data directory: a snapshot, as a file system or an administrator makes it. */
export function snapshot({ dataDirectory }: { readonly dataDirectory: string }): string {
  const copy = join(makeScratch('snapshot', serverUser()), 'data');
  copyAsServer(dataDirectory, copy);
  return copy;
}

/** That a base backup and the archive of `host` give all that the server holds, to the last row that was archived. */
export async function expectRecoverable(server: PostgresServer, host: Host, backup: string): Promise<void> {
  const all = await summary(server);
  await untilArchivingGoesOn(server);
  await using copy = await startCopy(backup, {
    signal: 'recovery',
    settings: { restore_command: host.restoreCommand },
    env: host.env,
  });
  await untilOpen(copy);
  expect((await summary(copy)).rows).toBeGreaterThanOrEqual(all.rows);
  expect(await summary(copy)).toEqual(await summary(server));
}

/** The way out for a server whose WAL does not continue what the archive holds. `history`: what is pushed by hand. */
export async function recoverableElsewhere(life: Life, history?: string): Promise<void> {
  const { host, server } = life;
  ownUrl(life);
  await untilArchivingGoesOn(server);
  if (history !== undefined) {
    expect(await host.run('wal-push', [`pg_wal/${history}`], server.dataDirectory)).toMatchObject({ status: 0 });
  }
  await expectRecoverable(server, host, await takeBackup(server));
}

/** A copy that is promoted without having looked for another's history: it has no restore_command. */
export async function startPromoted(past: Past, archive: string, dataDirectory = past.dataDirectory): Promise<Life> {
  const life = await startLife(past, archive, { dataDirectory, signal: 'standby' });
  await life.server.query('SELECT pg_promote()');
  await untilOpen(life.server);
  return life;
}
