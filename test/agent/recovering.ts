import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { agentsOf } from '../harness/agents.ts';
import { copyArchive, Host, makeSite, objectPath, type HostOptions, type Site } from '../harness/archiving.ts';
import {
  createLedger,
  fillSegments,
  startCopy,
  summary,
  takeBackup,
  untilAllArchived,
  type Summary,
} from '../harness/ledger.ts';
import { startPostgres, type PostgresServer, type Settings } from '../harness/postgres.ts';
import type { Version } from '../harness/server-user.ts';
import { waitFor } from '../harness/wait.ts';

/** What a cluster has archived that is gone: a base backup, and segments of 1 MB behind it. */
export interface Past {
  readonly site: Site;
  readonly backup: string;
  /** All that was archived since the backup, in order. */
  readonly segments: readonly string[];
  readonly holds: Summary;
}

export interface PastOptions {
  readonly version?: Version;
  readonly segments?: number;
  /** Where it is archived. Default: a directory of the site. */
  readonly to?: HostOptions;
}

export async function makePast({ version = 18, segments = 24, to = {} }: PastOptions = {}): Promise<Past> {
  const site = makeSite();
  const host = await Host.make(site, to);
  const settings = host.archiving;
  await using server = await startPostgres({ version, walSegmentSizeMb: 1, settings, env: host.env });
  await createLedger(server);
  const backup = await takeBackup(server);
  const names = await fillSegments(server, segments);
  await untilAllArchived(server);
  return { site, backup, segments: names, holds: await summary(server) };
}

export interface Recovering {
  readonly host: Host;
  readonly server: PostgresServer;
  /** A copy of the archive that is the recovery's own, where it lies in a directory. */
  readonly archive: string;
}

export interface RecoverOptions {
  readonly host?: HostOptions;
  readonly settings?: Settings;
  readonly signal?: 'recovery' | 'standby';
  /** Before the server starts. */
  readonly prepare?: (archive: string) => void;
}

/** Starts a recovery with the agent on, and does not wait for anything. */
export async function recover(past: Past, options: RecoverOptions = {}): Promise<Recovering> {
  const archive = copyArchive(past.site.archives[0]);
  options.prepare?.(archive);
  const host = await Host.make(past.site, { archives: [{ url: archive }], agent: {}, ...options.host });
  const settings = { ...host.restoring, ...options.settings };
  const { signal = 'recovery' } = options;
  const server = await startCopy(past.backup, { signal, settings, env: host.env, waitUntilReady: false });
  return { host, server, archive };
}

/** The object of one segment in a directory. */
export function objectOf(archive: string, name: string | undefined): string {
  const path = objectPath(archive, name ?? '');
  if (path === undefined) throw new Error(`there is no ${name} in ${archive}`);
  return path;
}

/** What fetches have lying in pg_wal for a moment. */
function temporariesOf({ dataDirectory }: PostgresServer): string[] {
  return readdirSync(join(dataDirectory, 'pg_wal')).filter((name) => name.startsWith('xlogtemp.'));
}

/** Until an agent works for the server, and returns its pid. */
export async function untilAgent(server: PostgresServer, other?: number): Promise<number> {
  let found: number | undefined;
  await waitFor(
    'an agent',
    () => {
      found = agentsOf(server.dataDirectory).find((pid) => pid !== other);
      return found !== undefined;
    },
    30_000,
    () => server.log().slice(-4_000),
  );
  return found ?? 0;
}

/** Until no agent works for the server any more, and nothing of one lies in pg_wal. */
export async function untilNothingLeft(server: PostgresServer): Promise<void> {
  await waitFor(
    'nothing to be left',
    () => agentsOf(server.dataDirectory).length === 0 && temporariesOf(server).length === 0,
    15_000,
    () => `${agentsOf(server.dataDirectory).join(' ')} ${temporariesOf(server).join(' ')}`,
  );
}
