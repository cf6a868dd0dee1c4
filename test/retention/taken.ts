/** Real servers whose backups are taken, and how the catalogue of them is looked at. */
import type { BaseBackup } from '../../src/retention/base-backup.ts';
import { readCatalogue, type Catalogue } from '../../src/retention/catalogue.ts';
import { Deadline } from '../../src/storage/deadline.ts';
import { formatLsn, toLsn } from '../../src/wal/lsn.ts';
import { segmentNameAt, toTimelineId } from '../../src/wal/name.ts';
import { directoryStore } from '../commands/stores.ts';
import type { Taken } from '../harness/pg-clients.ts';
import { startPostgres, type PostgresServer } from '../harness/postgres.ts';
import { makeScratch } from '../harness/scratch.ts';
import { serverUser, type Version } from '../harness/server-user.ts';
import { known } from '../wal/arbitraries.ts';

export const MB = 1024 * 1024;
export const SINCE = { serverCompression: 15, incremental: 17 };
export const DEFAULT_LABEL = 'pg_basebackup base backup';

export async function readDirectory(location: string): Promise<Catalogue> {
  return readCatalogue(directoryStore(location), new Deadline(60_000));
}

export function named({ backups }: Catalogue, name: string): BaseBackup {
  return known(backups.find(({ path }) => path.endsWith(`/${name}`)));
}

export function positions({ start, stop }: BaseBackup): Taken {
  return { start: formatLsn(start.lsn), timeline: start.timeline, stop: formatLsn(stop.lsn) };
}

export function problems({ backups }: Catalogue): string[] {
  return backups.flatMap((backup) => backup.problems.map((problem) => `${backup.path}: ${problem}`));
}

export async function systemIdOf(server: PostgresServer): Promise<string> {
  const [row] = await server.query('SELECT system_identifier::text AS id FROM pg_control_system()');
  return String(row?.['id']);
}

/** A server with two tablespaces, one of them empty; and what keeps them apart from those of a plain backup. */
export async function startWithTablespaces(version: Version) {
  const server = await startPostgres({
    version,
    walSegmentSizeMb: 1,
    settings: version >= SINCE.incremental ? { summarize_wal: true } : {},
  });
  const filled = makeScratch('filled', serverUser());
  const empty = makeScratch('empty', serverUser());
  await server.query(`CREATE TABLESPACE filled LOCATION '${filled}'`);
  await server.query(`CREATE TABLESPACE empty LOCATION '${empty}'`);
  await server.query('CREATE TABLE there TABLESPACE filled AS SELECT generate_series(1, 1000) AS number');
  const mappings = (backup: string): string[] => {
    const beside = makeScratch(`beside-${backup}`, serverUser());
    return [`--tablespace-mapping=${filled}=${beside}/filled`, `--tablespace-mapping=${empty}=${beside}/empty`];
  };
  return { server, mappings };
}

/** Whether every segment from start to stop is in the backup's own pg_wal. */
export function bringsItsWal({ start, stop, segmentSize, ownWal }: BaseBackup): boolean {
  const size = BigInt(known(segmentSize));
  for (let lsn = start.lsn - (start.lsn % size); lsn < stop.lsn; lsn += size) {
    if (!ownWal.has(segmentNameAt(known(toTimelineId(start.timeline)), toLsn(lsn), known(segmentSize)).name))
      return false;
  }
  return true;
}
