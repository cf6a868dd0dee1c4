import { spawnSync } from 'node:child_process';
import { chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { CHECKOUT } from './dist.ts';
import { isMissing } from './need.ts';
import type { PostgresServer } from './postgres.ts';
import { makeScratch } from './scratch.ts';
import { asUser, copyAsServer, runAsServer, serverUser, type Version } from './server-user.ts';

/** The programs that scripts/lib/pg-clients.sh brings, and the versions that it brings them in. */
type Client = 'pg_basebackup' | 'pg_combinebackup' | 'pg_resetwal';
const BACKUP_VERSIONS = [17, 18] as const;
type BackupVersion = (typeof BACKUP_VERSIONS)[number];
const CLIENT_VERSIONS = [13, 15, 17, 18] as const;
export type ClientVersion = (typeof CLIENT_VERSIONS)[number];

/** Whether tests that take base backups must be left out on this machine; see `needProgram`. */
export function needPgClients(): boolean {
  return BACKUP_VERSIONS.some((version) => isMissing(`pg_basebackup ${version}`, works(version, 'pg_basebackup')));
}

/** The versions whose WAL can be reset on this machine. Debian has no 14 and no 16; its 13 may be gone. */
export function resetwalVersions(): ClientVersion[] {
  return CLIENT_VERSIONS.filter((version) => {
    const isThere = works(version, 'pg_resetwal');
    return version === 13 ? isThere : !isMissing(`pg_resetwal ${version}`, isThere);
  });
}

/** Runs pg_resetwal on a stopped server's data directory, as the server's user. Returns what it said. */
export async function pgResetwal(
  version: ClientVersion,
  dataDirectory: string,
  args: readonly string[],
): Promise<string> {
  return runClient(version, 'pg_resetwal', [...args, '-D', dataDirectory]);
}

/** What pg_basebackup itself says of a backup that it takes with WAL. */
export interface Taken {
  /** As `0/2000028`. */
  readonly start: string;
  readonly timeline: number;
  readonly stop: string;
}

/**
 * Takes a base backup of a running server into a directory that must not exist yet; its parents are made. It belongs
 * to the server's user. A newer pg_basebackup speaks to older servers, so that one serves all of ours.
 */
export async function pgBasebackup(
  server: PostgresServer,
  directory: string,
  args: readonly string[] = [],
): Promise<Taken | undefined> {
  mkdirSync(join(directory, '..'), { recursive: true });
  chownSync(join(directory, '..'), serverUser().uid, serverUser().gid);
  const connection = ['-h', server.socketDirectory, '-p', String(server.port), '-U', 'postgres'];
  const common = ['--checkpoint=fast', '--no-sync', '--verbose', '--pgdata', directory];
  const said = await runClient(clientOf(server.version), 'pg_basebackup', [...connection, ...common, ...args]);
  const [, start, timeline] = /start point: (\S+) on timeline (\d+)/.exec(said) ?? [];
  const [, stop] = /end point: (\S+)/.exec(said) ?? [];
  return start === undefined || stop === undefined ? undefined : { start, timeline: Number(timeline), stop };
}

/** Puts a chain of incremental backups together, as the server's user. `args`: where to, and the chain, the full one first. */
export async function pgCombinebackup(version: Version, args: readonly string[]): Promise<void> {
  await runClient(clientOf(version), 'pg_combinebackup', ['--no-sync', ...args]);
}

function clientOf(server: Version): BackupVersion {
  return server === 17 ? 17 : 18;
}

/** What the program said on stderr. */
async function runClient(version: ClientVersion, program: Client, args: readonly string[]): Promise<string> {
  const { status, stderr } = await runAsServer(join(reachable(version, program), 'bin', program), args);
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}:\n${stderr}`);
  return stderr;
}

function installed(version: ClientVersion): string {
  return join(CHECKOUT, '.cache/pg-clients', String(version));
}

const staged = new Map<ClientVersion, string>();

/** Where the server's user can run them: a copy, if need be. */
function reachable(version: ClientVersion, program: Client): string {
  let directory = staged.get(version);
  if (directory === undefined) {
    directory = installed(version);
    if (!works(version, program, asUser(serverUser()))) {
      directory = join(makeScratch(`clients${version}`, serverUser()), 'clients');
      copyAsServer(installed(version), directory);
    }
    staged.set(version, directory);
  }
  return directory;
}

function works(version: ClientVersion, program: Client, user: { uid?: number; gid?: number } = {}): boolean {
  return spawnSync(join(installed(version), 'bin', program), ['--version'], user).status === 0;
}
