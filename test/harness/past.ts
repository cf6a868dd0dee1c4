import { copyArchive, Host, makeSite, type HostOptions, type Site } from './archiving.ts';
import {
  createLedger,
  fillSegments,
  startCopy,
  summary,
  takeBackup,
  untilAllArchived,
  type Summary,
} from './ledger.ts';
import { startPostgres, type PostgresServer, type ServerOptions } from './postgres.ts';
import type { Version } from './server-user.ts';

/** What clusters of one test file have in common: each is a copy of a stopped server that has archived a little. */
export interface Past {
  readonly site: Site;
  /** Of the stopped server, which ended by itself: nothing in it waits to be archived. */
  readonly dataDirectory: string;
  /** A base backup without WAL, from before all that the ledger holds. */
  readonly backup: string;
  /** Full segments from that backup on, in order: all are archived, and still in pg_wal. */
  readonly segments: readonly string[];
  /** What the ledger holds. */
  readonly held: Summary;
}

/** A server with the settings that it archives by. */
export interface Life extends AsyncDisposable {
  readonly host: Host;
  readonly archive: string;
  readonly server: PostgresServer;
}

/** One for each trouble that an object can have, and others. */
const SEGMENTS = 6;

const pasts = new Map<Version, Promise<Past>>();

/** The past of a version; made once in each process. */
export async function pastOf(version: Version): Promise<Past> {
  const known = pasts.get(version) ?? makePast(version);
  pasts.set(version, known);
  return known;
}

async function makePast(version: Version): Promise<Past> {
  const site = makeSite();
  const host = await Host.make(site);
  const settings = { ...host.archiving, wal_keep_size: '64MB' };
  const server = await startPostgres({ version, walSegmentSizeMb: 1, settings, env: host.env });
  await createLedger(server);
  const backup = await takeBackup(server);
  const segments = await fillSegments(server, SEGMENTS);
  const held = await summary(server);
  await untilAllArchived(server);
  await server.stop();
  return { site, dataDirectory: server.dataDirectory, backup, segments, held };
}

/** An archive that holds what the past has archived. */
export function archiveOf(past: Past): string {
  return copyArchive(past.site.archives[0]);
}

/** Starts a copy of the stopped server, a life of its own from there on, that archives to `archive`. */
export async function startLife(
  past: Past,
  archive: string,
  options: ServerOptions & { readonly dataDirectory?: string; readonly walseal?: HostOptions } = {},
): Promise<Life> {
  const { dataDirectory = past.dataDirectory, walseal = {}, settings = {}, ...others } = options;
  const host = await Host.make(past.site, { archives: [{ url: archive }], ...walseal });
  const server = await startCopy(dataDirectory, {
    ...others,
    settings: { ...host.archiving, ...settings },
    env: host.env,
  });
  return { host, archive, server, [Symbol.asyncDispose]: () => server.remove() };
}
