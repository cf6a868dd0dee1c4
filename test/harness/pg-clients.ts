import { spawnSync } from 'node:child_process';
import { chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { CHECKOUT } from './dist.ts';
import { isMissing } from './need.ts';
import type { PostgresServer } from './postgres.ts';
import { makeScratch } from './scratch.ts';
import { asUser, copyAsServer, runAsServer, serverUser, type Version } from './server-user.ts';

/** The programs that scripts/lib/pg-clients.sh brings, and the versions that it brings them in. */
type Client = 'pg_basebackup' | 'pg_combinebackup' | 'pg_verifybackup';
const CLIENT_VERSIONS = [17, 18] as const;
type ClientVersion = (typeof CLIENT_VERSIONS)[number];

/** Whether tests that take base backups must be left out on this machine; see `needProgram`. */
export function needPgClients(): boolean {
  return CLIENT_VERSIONS.some((version) => isMissing(`pg_basebackup ${version}`, works(installed(version))));
}

/**
 * Takes a base backup of a running server into a directory that must not exist yet; its parents are made. It belongs
 * to the server's user. A newer pg_basebackup speaks to older servers, so that one serves all of ours.
 */
export async function pgBasebackup(server: PostgresServer, directory: string, args: readonly string[]): Promise<void> {
  mkdirSync(join(directory, '..'), { recursive: true });
  chownSync(join(directory, '..'), serverUser().uid, serverUser().gid);
  const connection = ['-h', server.socketDirectory, '-p', String(server.port), '-U', 'postgres'];
  const common = ['--checkpoint=fast', '--no-sync', '--pgdata', directory];
  await runClient(server.version === 17 ? 17 : 18, 'pg_basebackup', [...connection, ...common, ...args]);
}

/** Puts a chain of incremental backups, the full one first, together into one of a new directory. */
export async function pgCombinebackup(version: Version, chain: readonly string[], directory: string): Promise<void> {
  await runClient(version === 17 ? 17 : 18, 'pg_combinebackup', ['--no-sync', '--output', directory, ...chain]);
}

async function runClient(version: ClientVersion, program: Client, args: readonly string[]): Promise<void> {
  const { status, stderr } = await runAsServer(join(reachable(version), 'bin', program), args);
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${status}:\n${stderr}`);
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
