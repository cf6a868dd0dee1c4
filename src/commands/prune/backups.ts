/** The base backups of all locations that the settings name. */
import { asFailure } from '../../archive/archives.ts';
import { Failure } from '../../exit.ts';
import type { BaseBackup } from '../../retention/base-backup.ts';
import { listManifests, readCatalogue, type Catalogue, type Other } from '../../retention/catalogue.ts';
import type { Settings } from '../../settings/schema.ts';
import { connect } from '../../storage/connect.ts';
import type { Deadline } from '../../storage/deadline.ts';
import type { Storage } from '../../storage/storage.ts';

/** What each location holds. */
export type Catalogues = ReadonlyMap<Storage, Catalogue>;

/** Connects to each location; no request is made yet. Errors: Failure `usage`. */
export async function openLocations({ backups }: Settings): Promise<Storage[]> {
  return Promise.all(backups.flatMap((one) => (one.kind === 'location' ? [attempt(one.url, () => connect(one))] : [])));
}

/**
 * Reads all locations, of own WAL only what `wantsOwnWal` asks for. Errors: Failure, where one can't be read, or holds
 * no base backup at all: an unmounted disk looks just so.
 */
export async function readLocations(
  locations: readonly Storage[],
  deadline: Deadline,
  wantsOwnWal: (backup: BaseBackup) => boolean,
): Promise<Catalogues> {
  const catalogues = new Map<Storage, Catalogue>();
  for (const location of locations) catalogues.set(location, await readLocation(location, deadline, wantsOwnWal));
  return catalogues;
}

/**
 * Reads all locations once more, for own WAL that `wantsOwnWal` asks for. A backup that has come since they were `known`
 * is left out, as the WAL that it needs may not have been listed; for `changeOfBackups` it is new. Errors: as
 * `readLocations`.
 */
export async function readOwnWal(
  known: Catalogues,
  deadline: Deadline,
  wantsOwnWal: (backup: BaseBackup) => boolean,
): Promise<Catalogues> {
  const catalogues = new Map<Storage, Catalogue>();
  for (const [location, { backups, manifests }] of known) {
    const paths = new Set(backups.map(({ path }) => path));
    const now = await readLocation(location, deadline, wantsOwnWal);
    catalogues.set(location, { ...now, backups: now.backups.filter(({ path }) => paths.has(path)), manifests });
  }
  return catalogues;
}

async function readLocation(
  location: Storage,
  deadline: Deadline,
  wantsOwnWal: (backup: BaseBackup) => boolean,
): Promise<Catalogue> {
  const catalogue = await attempt(location.url, () => readCatalogue(location, deadline, { wantsOwnWal }));
  requireBackups(location, catalogue);
  return catalogue;
}

function requireBackups({ url }: Storage, { backups, others }: Catalogue): void {
  if (backups.length > 0 || others.some(({ kind }) => kind !== 'foreign')) return;
  throw new Failure('usage', `there is no base backup in ${url}`, {
    hint:
      'A wrong URL or prefix, or a disk that is not mounted, looks just so; WAL that its backups need would be deleted. ' +
      'If there are none yet, leave its [[backups]] out of the settings, or take the first one.',
  });
}

export function allBackups(catalogues: Catalogues): BaseBackup[] {
  return [...catalogues.values()].flatMap(({ backups }) => backups);
}

export function allOthers(catalogues: Catalogues): Other[] {
  return [...catalogues.values()].flatMap(({ others }) => others);
}

/** Nobody knows what an unreadable backup needs. Errors: Failure `invalid`. */
export function refuseUnreadable(catalogues: Catalogues): void {
  const unreadable = allOthers(catalogues).filter(({ kind }) => kind === 'unreadable');
  if (unreadable.length === 0) return;
  const lines = unreadable.map(({ path, reason }) => `\n  ${path}: ${reason}`).join('');
  const count = unreadable.length === 1 ? 'a base backup' : `${unreadable.length} base backups`;
  throw new Failure('invalid', `${count} can't be read:${lines}`, {
    hint: 'Nobody knows which WAL it needs, so nothing is deleted while it is there: mend it, or move it out of the location.',
  });
}

/** Whether a backup has come, gone or changed since the catalogues were read: a clause, or undefined. Errors: Failure. */
export async function changeOfBackups(catalogues: Catalogues, deadline: Deadline): Promise<string | undefined> {
  for (const [location, { manifests }] of catalogues) {
    const now = await attempt(location.url, () => listManifests(location, deadline));
    const known = new Set(manifests);
    const fresh = now.find((line) => !known.has(line));
    if (fresh !== undefined) return `${location.url}/${fresh} is new`;
    const left = new Set(now);
    const gone = manifests.find((line) => !left.has(line));
    if (gone !== undefined) return `${location.url}/${gone} is not there any more`;
  }
  return undefined;
}

async function attempt<T>(url: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw asFailure(error, url, 'base backups in');
  }
}
