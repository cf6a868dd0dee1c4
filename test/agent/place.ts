import { agentsOf, socketOf } from '../harness/agents.ts';
import { Host, makeSite, objectKeys, type HostOptions, type Site } from '../harness/archiving.ts';
import { createLedger, fillSegments, switchSegment } from '../harness/ledger.ts';
import { startPostgres, type PostgresServer } from '../harness/postgres.ts';
import type { Version } from '../harness/server-user.ts';
import { waitFor } from '../harness/wait.ts';

/** Settings under which a server archives nothing, so that files wait until `release`. */
export const HELD = { archive_mode: 'on', archive_command: '' } as const;

/** A server with segments of 1 MB, and where it archives to. */
export interface Place extends AsyncDisposable {
  readonly site: Site;
  readonly host: Host;
  readonly server: PostgresServer;
}

export interface PlaceOptions extends HostOptions {
  readonly version?: Version;
  readonly archiveCount?: number;
  /** As in `ServerOptions`. */
  readonly within?: readonly string[];
}

/** Starts a server on which so many files wait. The agent is on, whatever the other tests do without. */
export async function openPlace(waiting: number, options: PlaceOptions = {}): Promise<Place> {
  const { version = 18, archiveCount = 1, within, ...others } = options;
  const site = makeSite(archiveCount);
  const host = await Host.make(site, { agent: {}, ...others });
  const server = await startPostgres({
    version,
    walSegmentSizeMb: 1,
    settings: HELD,
    env: host.env,
    ...(within && { within }),
  });
  await createLedger(server);
  await fillSegments(server, waiting);
  return { site, host, server, [Symbol.asyncDispose]: () => server.remove() };
}

/** Has the server archive what waits. */
export async function release({ server, host }: Place): Promise<void> {
  await command(server, host.archiveCommand);
  // It wakes the archiver.
  await switchSegment(server);
}

/** Sets archive_command, and waits until it holds. */
export async function command(server: PostgresServer, line: string): Promise<void> {
  server.reload({ archive_mode: 'on', archive_command: line });
  await waitFor('the settings to be read', async () => {
    const [row] = await server.query("SELECT current_setting('archive_command') AS line");
    return row?.['line'] === (line === '' ? '(disabled)' : line) || row?.['line'] === line;
  });
}

/** Has an agent started, and returns its pid; more than it needs to start waits then. */
export async function withAgent(place: Place, waiting = 6): Promise<number> {
  await command(place.server, '');
  await fillSegments(place.server, waiting);
  await release(place);
  return untilListening(place.server.dataDirectory);
}

/** Until an agent for this data directory listens; returns its pid. */
export async function untilListening(dataDirectory: string): Promise<number> {
  let found: number | undefined;
  await waitFor(`an agent that listens for ${dataDirectory}`, () => {
    found = agentsOf(dataDirectory).find((pid) => socketOf(pid) !== undefined);
    return found !== undefined;
  });
  if (found === undefined) throw new Error('found, and lost');
  return found;
}

/** The names of the WAL files in the first archive, or another one; each as often as it is there. */
export function archivedNames({ site }: Place, archive: string = site.archives[0]): string[] {
  return objectKeys(archive)
    .map((key) => key.slice(key.lastIndexOf('/') + 1))
    .toSorted();
}
