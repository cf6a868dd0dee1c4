import { spawnSync } from 'node:child_process';
import { chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { CHECKOUT } from './dist.ts';
import { isMissing } from './need.ts';
import type { PostgresServer } from './postgres.ts';
import { makeScratch } from './scratch.ts';
import { asUser, copyAsServer, runAsServer, serverUser, type Version } from './server-user.ts';

/** The programs that scripts/lib/pg-clients.sh brings, and the versions that it brings them in. */
type Client = 'pg_basebackup' | 'pg_combinebackup';
const CLIENT_VERSIONS = [17, 18] as const;
type ClientVersion = (typeof CLIENT_VERSIONS)[number];

/** Whether tests that take base backups must be left out on this machine; see `needProgram`. */
export function needPgClients(): boolean {
  return CLIENT_VERSIONS.some((version) => isMissing(`pg_basebackup ${version}`, works(installed(version))));
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

function clientOf(server: Version): ClientVersion {
  return server === 17 ? 17 : 18;
}

/** What the program said on stderr. */
async function runClient(version: ClientVersion, program: Client, args: readonly string[]): Promise<string> {
  const { status, stderr } = await runAsServer(join(reachable(version), 'bin', program), args);
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}:\n${stderr}`);
  return stderr;
}

function installed(version: ClientVersion): string {
  return join(CHECKOUT, '.cache/pg-clients', String(version));
}

const staged = new Map<ClientVersion, string>();

/** Where the server's user can run them: a copy, if need be. */
function reachable(version: ClientVersion): string {
  let directory = staged.get(version);
  if (directory === undefined) {
    directory = installed(version);
    if (!works(directory, asUser(serverUser()))) {
      directory = join(makeScratch(`clients${version}`, serverUser()), 'clients');
      copyAsServer(installed(version), directory);
    }
    staged.set(version, directory);
  }
  return directory;
}

function works(directory: string, user: { uid?: number; gid?: number } = {}): boolean {
  return spawnSync(join(directory, 'bin/pg_basebackup'), ['--version'], user).status === 0;
}
