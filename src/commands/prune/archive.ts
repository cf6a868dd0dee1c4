/** What one archive holds, and what is known of it. */
import { asFailure, type Archive } from '../../archive/archives.ts';
import { readTexts } from '../../archive/small-object.ts';
import { onlySystem } from '../../archive/systems.ts';
import { Failure } from '../../exit.ts';
import { assess, type Assessment } from '../../retention/assess.ts';
import type { BaseBackup } from '../../retention/base-backup.ts';
import { takeInventory, type Inventory } from '../../retention/inventory.ts';
import {
  decideSegmentSize,
  evidenceOfBackups,
  evidenceOfHistory,
  type SizeEvidence,
} from '../../retention/segment-size.ts';
import type { HistoryOfBackup } from '../../retention/vouched.ts';
import type { OpenKeys } from '../../seal/keys.ts';
import type { Deadline } from '../../storage/deadline.ts';
import { parseBackupHistory } from '../../wal/backup.ts';
import type { SystemId } from '../../wal/control.ts';
import { WalFormatError } from '../../wal/error.ts';
import { parseKey, walPrefix } from '../../wal/keys.ts';
import type { BackupName, SegmentSize } from '../../wal/name.ts';

/** What is known before an archive is looked at. */
export interface Ground {
  /** Undefined: the only cluster that the archive holds. */
  readonly systemId: SystemId | undefined;
  /** What pg_control tells of the segment size. */
  readonly sizes: readonly SizeEvidence[];
  /** Label patterns of `history_files`. */
  readonly vouchedLabels: readonly string[];
  readonly keys: OpenKeys;
  readonly deadline: Deadline;
}

/** What an archive holds, and those of its backup history files that were of interest. */
export interface Stock {
  readonly archive: Archive;
  readonly inventory: Inventory;
  readonly backupHistories: readonly HistoryOfBackup[];
}

/** Lists the archive. Errors: Failure. */
export async function takeStock(archive: Archive, backups: readonly BaseBackup[], ground: Ground): Promise<Stock> {
  const { deadline } = ground;
  const systemId = await clusterOf(archive, backups, ground);
  const ours = backups.filter((backup) => [undefined, systemId ?? backup.systemId].includes(backup.systemId));
  const known = [...ground.sizes, ...evidenceOfBackups(ours)];
  const early = isEnough(known) ? undefined : await readEarly(archive, systemId, ground);
  const size = decideSegmentSize([...known, ...(early ?? []).map(evidenceOf)]);
  const inventory = await listed(archive, systemId, size, deadline);
  const backupHistories = ground.vouchedLabels.length > 0 ? await readAll(archive, inventory, ground) : [];
  return { archive, inventory, backupHistories };
}

/** Reads the histories, and puts everything together. Errors: Failure. */
export async function assessStock(
  { archive, inventory, backupHistories }: Stock,
  backups: readonly BaseBackup[],
  { keys, deadline, vouchedLabels }: Ground,
): Promise<Assessment> {
  const names = inventory.histories.map(({ name }) => name);
  const texts = await readTexts(archive, names, inventory.systemId, keys, deadline).catch(needsIdentity);
  const histories = texts.map(({ name, text }) => ({ timeline: name.timeline, text }));
  return inThe(archive, () => assess({ inventory, histories, backups, backupHistories, vouchedLabels }));
}

/** Says of a failure in which archive it lies: the rules of retention don't know. */
export function inThe<T>({ storage: { url } }: Archive, act: () => T): T {
  try {
    return act();
  } catch (error) {
    throw error instanceof Failure ? named(url, error) : error;
  }
}

function named(url: string, { kind, message, hint }: Failure): Failure {
  return new Failure(kind, message.startsWith('archive ') ? message : `archive ${url}: ${message}`, { hint });
}

/** Where backups of several clusters are known, it must be clear beforehand whose size counts. */
async function clusterOf(
  archive: Archive,
  backups: readonly BaseBackup[],
  { systemId, deadline }: Ground,
): Promise<SystemId | undefined> {
  if (systemId !== undefined) return systemId;
  const systems = new Set(backups.map((backup) => backup.systemId).filter((id) => id !== undefined));
  return systems.size > 1 ? onlySystem([archive], deadline) : undefined;
}

function isEnough(evidence: readonly SizeEvidence[]): boolean {
  return evidence.some(({ fits }) => fits.length === 1);
}

async function listed(
  archive: Archive,
  systemId: SystemId | undefined,
  segmentSize: SegmentSize,
  deadline: Deadline,
): Promise<Inventory> {
  const { storage } = archive;
  const inventory = await takeInventory(storage.list('', {}, deadline), { systemId, segmentSize }).catch(
    (error: unknown) => {
      throw error instanceof Failure ? named(storage.url, error) : asFailure(error, storage.url);
    },
  );
  if (inventory.timelines.size === 0 && inventory.histories.length === 0)
    throw holdsNothing(archive, inventory.systemId);
  return inventory;
}

function holdsNothing({ storage: { url } }: Archive, systemId: SystemId): Failure {
  return new Failure('usage', `archive ${url} holds nothing of system ${systemId}`, {
    hint: 'A wrong URL or prefix, a disk that is not mounted, or the identifier of another cluster: look at --system-id and --pgdata.',
  });
}

/** Backup history files, where nothing else tells the segment size: they must be found before the inventory is taken. */
async function readEarly(archive: Archive, chosen: SystemId | undefined, ground: Ground): Promise<HistoryOfBackup[]> {
  const systemId = chosen ?? (await onlySystem([archive], ground.deadline));
  const names: BackupName[] = [];
  let objects = 0;
  try {
    for await (const page of archive.storage.list(walPrefix(systemId), {}, ground.deadline)) {
      objects += page.length;
      for (const { key } of page) {
        const name = parseKey(key)?.name;
        if (name?.kind === 'backup') names.push(name);
      }
    }
  } catch (error) {
    throw asFailure(error, archive.storage.url);
  }
  if (objects === 0) throw holdsNothing(archive, systemId);
  return readBackupHistories(archive, names.slice(-MOST_EARLY), systemId, ground);
}

/** Each tells some of the possible sizes; a few tell one. */
const MOST_EARLY = 32;

async function readAll(
  archive: Archive,
  { timelines, systemId }: Inventory,
  ground: Ground,
): Promise<HistoryOfBackup[]> {
  const names = [...timelines.values()].flatMap(({ beside }) =>
    beside.map(({ name }) => name).filter((name) => name.kind === 'backup'),
  );
  return readBackupHistories(archive, names, systemId, ground);
}

async function readBackupHistories(
  archive: Archive,
  names: readonly BackupName[],
  systemId: SystemId,
  { keys, deadline }: Ground,
): Promise<HistoryOfBackup[]> {
  const texts = await readTexts(archive, names, systemId, keys, deadline).catch(needsIdentity);
  return texts.map(({ name: { name }, text }) => {
    try {
      return { name, history: parseBackupHistory(text) };
    } catch (error) {
      if (!(error instanceof WalFormatError)) throw error;
      throw new Failure('invalid', `archive ${archive.storage.url}: ${name}: ${error.message}`, { cause: error });
    }
  });
}

function evidenceOf({ name, history }: HistoryOfBackup): SizeEvidence {
  return evidenceOfHistory(name, history);
}

function needsIdentity(error: unknown): never {
  if (!(error instanceof Failure) || error.kind !== 'no-key') throw error;
  throw new Failure('no-key', error.message, {
    hint:
      'Prune reads history files, which say which WAL belongs together, so the host that it runs on needs identity_file ' +
      `under [encryption]. ${error.hint}`,
    cause: error,
  });
}
