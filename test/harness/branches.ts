import { join } from 'node:path';

import { copyArchive, Host, makeDirectory, makeSite, objectKeys, type Site } from './archiving.ts';
import {
  createLedger,
  fillSegments,
  startCopy,
  summary,
  takeBackup,
  untilAllArchived,
  untilOpen,
  type Summary,
} from './ledger.ts';
import { startPostgres, type PostgresServer, type Settings } from './postgres.ts';
import type { Version } from './server-user.ts';

/** A recovery, and what it must lead to: exactly that, on a timeline that nobody has used. */
export interface Goal {
  readonly settings: Settings;
  readonly holds: Summary;
  /** The parents of the new timeline, oldest first, as its history file must name them. */
  readonly parents: readonly number[];
}

/** The archive and the base backup of a cluster that was taken back twice, each time to before a mistake. */
export interface Branches {
  readonly site: Site;
  /** A directory with the same files, as they are. */
  readonly plain: string;
  readonly backup: string;
  /** What timeline 1 held at its end, which was left. */
  readonly abandoned: Summary;
  /** To a point before the end of timeline 1, and of timeline 2, and to the end of timeline 3. */
  readonly goals: Readonly<Record<'first' | 'second' | 'latest', Goal>>;
}

/** The timelines that are in the archive; the next recovery must begin the one after them. */
export const TIMELINES = [1, 2, 3];

const FIRST = 'before the first mistake';
const SECOND = 'before the second mistake';

const made = new Map<Version, Promise<Branches>>();

/**
 * Timelines 1, 2 and 3; those that were left have an end that nobody wants back, and that a recovery would replay if it
 * took the wrong branch or went past its target. Made once for each version.
 */
export function branches(version: Version): Promise<Branches> {
  const known = made.get(version) ?? make(version);
  made.set(version, known);
  return known;
}

/** A copy of that archive, which may be taken away and written to, and the commands that use it. */
export async function branchesCopy({ site }: Branches): Promise<{ archive: string; host: Host }> {
  const archive = copyArchive(site.archives[0]);
  return { archive, host: await Host.make(site, { archives: [{ url: archive }] }) };
}

/** The history files in an archive. */
export function histories(archive: string): string[] {
  return objectKeys(archive)
    .map((key) => key.split('/').at(-1) ?? '')
    .filter((name) => name.endsWith('.history'));
}

async function make(version: Version): Promise<Branches> {
  const site = makeSite();
  const host = await Host.make(site);
  const plain = makeDirectory(join(site.directory, 'plain'));
  const archiving = { ...host.archiving, archive_command: `${host.archiveCommand} && cp "%p" ${plain}/%f` };
  const to = (name: string, timeline: number): Settings => ({
    recovery_target_name: name,
    recovery_target_timeline: String(timeline),
  });
  const recover = (backup: string, target: Settings): Promise<PostgresServer> =>
    startCopy(backup, { signal: 'recovery', settings: { ...host.restoring, ...archiving, ...target }, env: host.env });

  await using server = await startPostgres({ version, walSegmentSizeMb: 1, settings: archiving, env: host.env });
  await createLedger(server);
  const backup = await takeBackup(server);
  const first = await makeMistake(server, FIRST);
  const abandoned = await summary(server);
  await using second = await recover(backup, to(FIRST, 1));
  await untilOpen(second);
  const atSecond = await makeMistake(second, SECOND);
  await using third = await recover(backup, to(SECOND, 2));
  await untilOpen(third);
  await fillSegments(third, 2);
  const latest = await summary(third);
  await untilAllArchived(third);
  return {
    site,
    plain,
    backup,
    abandoned,
    goals: {
      first: { settings: to(FIRST, 1), holds: first, parents: [1] },
      second: { settings: to(SECOND, 2), holds: atSecond, parents: [1, 2] },
      latest: { settings: { recovery_target_timeline: 'latest' }, holds: latest, parents: [1, 2, 3] },
    },
  };
}

/** Returns what the database held before the mistake. */
async function makeMistake(server: PostgresServer, name: string): Promise<Summary> {
  await fillSegments(server, 1);
  await server.query('SELECT pg_create_restore_point($1)', [name]);
  const before = await summary(server);
  await server.query('DELETE FROM ledger WHERE id % 2 = 0');
  await fillSegments(server, 2);
  await untilAllArchived(server);
  return before;
}
