import { chmodSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

import { CHECKOUT } from './dist.ts';
import { isMissing } from './need.ts';
import { makeScratch } from './scratch.ts';
import { binary, copyAsServer, runAsServer, serverUser, writeAsServer, type Ran, type Version } from './server-user.ts';

/** The versions that scripts/lib/pg-clients.sh brings pg_rewind in; it works on data of its own version alone. */
export const REWIND_VERSIONS = [13, 15, 17, 18] as const satisfies readonly Version[];
export type RewindVersion = (typeof REWIND_VERSIONS)[number];

/** Whether tests of pg_rewind must be left out on this machine; see `needProgram`. Debian 11, which has 13, is at its end. */
export function needPgRewind(version: RewindVersion): boolean {
  const isThere = versionLine(version) !== undefined;
  return version === 13 ? !isThere : isMissing(`pg_rewind ${version}`, isThere);
}

/**
 * Runs pg_rewind as the server's user. It asks the `postgres` beside it for the restore_command, and wants one of its
 * own minor version: a stand-in says so, and is the server that the tests run.
 */
export function pgRewind(
  version: RewindVersion,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Ran> {
  const client = join(makeScratch(`rewind${version}`, serverUser()), 'client');
  copyAsServer(installed(version), client);
  const backend = join(client, 'libexec', 'postgres');
  const answer = (versionLine(version) ?? '').replace('pg_rewind', 'postgres');
  writeAsServer(
    backend,
    `#!/bin/sh
[ "$1" = -V ] || exec ${binary(version, 'postgres')} "$@"
echo '${answer}'
`,
  );
  chmodSync(backend, 0o700);
  return runAsServer(join(client, 'bin', 'pg_rewind'), ['--no-sync', ...args], { cwd: '/', env });
}

function installed(version: RewindVersion): string {
  return join(CHECKOUT, '.cache/pg-clients', String(version));
}

/** As `pg_rewind (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`. */
function versionLine(version: RewindVersion): string | undefined {
  const { status, stdout } = spawnSync(join(installed(version), 'bin/pg_rewind'), ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}
