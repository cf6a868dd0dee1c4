import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { asFailure, openArchives, type Archive } from '../archive/archives.ts';
import { loadOpenKeys } from '../archive/keyring.ts';
import { requireSystemId } from '../archive/systems.ts';
import { Failure, type Outcome } from '../exit.ts';
import { applyPlan } from '../retention/apply.ts';
import type { BaseBackup } from '../retention/base-backup.ts';
import { planPrune } from '../retention/plan.ts';
import { requirePolicy } from '../retention/policy.ts';
import { changeOfHistories, lacksWal } from '../retention/recheck.ts';
import type { SizeEvidence } from '../retention/segment-size.ts';
import { openCluster } from '../server/cluster.ts';
import { locateDataDirectory } from '../server/data-directory.ts';
import { loadSettings } from '../settings/load.ts';
import type { Settings } from '../settings/schema.ts';
import { Deadline } from '../storage/deadline.ts';
import type { Storage } from '../storage/storage.ts';
import type { SystemId } from '../wal/control.ts';
import type { Io } from './io.ts';
import { assessStock, inThe, takeStock, type Ground, type Stock } from './prune/archive.ts';
import {
  allBackups,
  changeOfBackups,
  openLocations,
  readLocations,
  readOwnWal,
  refuseUnreadable,
  type Catalogues,
} from './prune/backups.ts';
import { chooseArchives } from './prune/choice.ts';
import type { Finding, PruneOptions } from './prune/findings.ts';
import { reportJson } from './prune/json.ts';
import { reportText } from './prune/text.ts';
import { concludePrune, hasNoBackup } from './prune/verdict.ts';

/**
 * What can go, and why; with `apply` it goes. 'done' means that all is in order; 'found-wrong' that something is not, of
 * which there was a warning, while nothing was lost by it. What stays unclear is thrown as a Failure, and then nothing
 * is deleted in that archive.
 */
export async function prune(options: PruneOptions, io: Io): Promise<Outcome> {
  if (options.apply === true && options.explain !== undefined)
    throw new Failure('usage', '--explain deletes nothing', { hint: 'Leave out --apply.' });
  const settings = await loadSettings(options.config, process.env);
  requirePolicy(settings);
  requireBackups(settings, options);
  const { chosen, passedOver } = chooseArchives(settings, options.archive);
  const cluster = await chooseCluster(options);
  const keys = await loadOpenKeys(settings);
  const vouchedLabels = settings.backups.flatMap((one) => (one.kind === 'vouched' ? [one.historyFiles] : []));
  const deadline = new Deadline(Infinity, { what: 'prune', idleMs: settings.deadlineMs });
  const archives = await openArchives(chosen);
  const locations = await openLocations(settings);
  try {
    const ground = { ...cluster, vouchedLabels, keys, deadline };
    const at = new Date();
    const sight = await look(archives, locations, ground, io);
    const { catalogues } = sight;
    const planned = await planAll(sight, ground, settings, at);
    const findings: Finding[] = [];
    let heeded: (() => boolean) | undefined;
    // Before anything is deleted, an interrupt may end the process as it likes.
    const heed = (): (() => boolean) => (heeded ??= io.heedInterrupts());
    for (const finding of planned) {
      findings.push(options.apply === true ? await carryOut(finding, catalogues, deadline, io, heed) : finding);
    }
    const all = { at, options, catalogues, findings, passedOver };
    (options.json === true ? reportJson : reportText)(all, io);
    return concludePrune(findings, io);
  } finally {
    deadline.close();
    for (const storage of [...archives.map((archive) => archive.storage), ...locations]) storage.close();
  }
}

/** A `.backup` file in the archive is no backup: pg_basebackup leaves one for each standby that is built. */
function requireBackups({ backups, path }: Settings, { apply }: PruneOptions): void {
  if (backups.length > 0 || apply !== true) return;
  throw new Failure('usage', `${path} names no [[backups]]: nothing tells which WAL is needed`, {
    hint: 'Say where base backups lie: [[backups]] with a url, or with history_files = "label pattern" for those that lie where walseal can\'t look.',
  });
}

/** Which cluster: as named, else the data directory's; undefined: the only one in the archive. */
async function chooseCluster(options: PruneOptions): Promise<Pick<Ground, 'systemId' | 'sizes'>> {
  const systemId: SystemId | undefined = options.systemId === undefined ? undefined : requireSystemId(options.systemId);
  const place = { ...options, walPath: '.' };
  const directory = locateDataDirectory(place, process.cwd());
  const isHere = systemId === undefined && existsSync(join(directory, 'global', 'pg_control'));
  if (options.pgdata === undefined && !isHere) return { systemId, sizes: [] };
  const cluster = await openCluster(place, process.cwd());
  if (systemId !== undefined && systemId !== cluster.systemId) {
    throw new Failure('usage', `${directory} is of system ${cluster.systemId}, and --system-id says ${systemId}`);
  }
  const { segmentSize } = cluster;
  const sizes: SizeEvidence[] =
    segmentSize === undefined ? [] : [{ source: join(directory, 'global', 'pg_control'), fits: [segmentSize] }];
  return { systemId: cluster.systemId, sizes };
}

interface Unreadable {
  readonly archive: Archive;
  readonly failure: Failure;
}

interface Sight {
  readonly catalogues: Catalogues;
  readonly stocks: readonly (Stock | Unreadable)[];
  /** Whether an archive lacks some of the WAL that the backup needs. */
  readonly isShort: (backup: BaseBackup) => boolean;
}

/** Reads what is there: the backups first, so that the WAL of each that is known is listed. */
async function look(
  archives: readonly Archive[],
  locations: readonly Storage[],
  ground: Ground,
  io: Io,
): Promise<Sight> {
  io.progress('reading base backups');
  let catalogues = await readLocations(locations, ground.deadline, () => false);
  const stocks: (Stock | Unreadable)[] = [];
  for (const archive of archives) {
    io.progress(`listing ${archive.storage.url}`);
    stocks.push(
      await takeStock(archive, allBackups(catalogues), ground).catch((error: unknown) => unreadable(archive, error)),
    );
  }
  const inventories = stocks.flatMap((stock) => ('inventory' in stock ? [stock.inventory] : []));
  const isShort = (backup: BaseBackup): boolean => inventories.some((inventory) => lacksWal(backup, inventory));
  // Reading a pg_wal.tar takes long, and is worth it only where the archive lacks what may be in it.
  if (allBackups(catalogues).some(isShort)) {
    io.progress('reading the WAL in base backups');
    catalogues = await readOwnWal(catalogues, ground.deadline, isShort);
  }
  return { catalogues, stocks, isShort };
}

/**
 * Plans for every archive. Whether a backup without the WAL that goes is lost depends on what it brings itself, so that
 * is read too before anybody is told to delete the backup.
 */
async function planAll(
  { catalogues, stocks, isShort }: Sight,
  ground: Ground,
  settings: Settings,
  at: Date,
): Promise<Finding[]> {
  const planEach = async (by: Catalogues): Promise<Finding[]> => {
    const findings: Finding[] = [];
    for (const stock of stocks) {
      findings.push('failure' in stock ? failed(stock) : await plan(stock, by, ground, settings, at));
    }
    return findings;
  };
  const findings = await planEach(catalogues);
  const lost = new Set(findings.flatMap(lostBackups));
  if (lost.size === 0) return findings;
  const all = await readOwnWal(catalogues, ground.deadline, (backup) => isShort(backup) || lost.has(backup.path));
  const bringSome = allBackups(all).some(({ path, ownWal }) => lost.has(path) && ownWal.size > 0);
  return bringSome ? planEach(all) : findings;
}

/** Paths of those that the plan takes the WAL from. */
function lostBackups(finding: Finding): string[] {
  if (finding.is !== 'planned') return [];
  return finding.plan.givenUp.filter(({ becomes }) => becomes === 'lost').map(({ assessed }) => assessed.backup.path);
}

async function plan(
  stock: Stock,
  catalogues: Catalogues,
  ground: Ground,
  settings: Settings,
  at: Date,
): Promise<Finding> {
  const { archive } = stock;
  try {
    refuseUnreadable(catalogues);
    const assessment = await assessStock(stock, allBackups(catalogues), ground);
    if (hasNoBackup(assessment)) return { archive, is: 'without-backup', assessment };
    const planned = inThe(archive, () => planPrune(assessment, settings, at));
    return { archive, is: 'planned', plan: planned };
  } catch (error) {
    return failed(unreadable(archive, error));
  } finally {
    ground.deadline.progress();
  }
}

/** Bugs are thrown. */
function unreadable(archive: Archive, error: unknown): Unreadable {
  return { archive, failure: asFailure(error, archive.storage.url) };
}

function failed({ archive, failure }: Unreadable): Finding {
  return { archive, is: 'failed', failure };
}

async function carryOut(
  finding: Finding,
  catalogues: Catalogues,
  deadline: Deadline,
  io: Io,
  heed: () => () => boolean,
): Promise<Finding> {
  if (finding.is !== 'planned') return finding;
  const { archive, plan: planned } = finding;
  const { storage } = archive;
  try {
    const applied = await applyPlan(storage, planned, {
      deadline,
      recheck: async () =>
        (await changeOfBackups(catalogues, deadline)) ??
        (await changeOfHistories(storage, planned.assessment.inventory, deadline)),
      isInterrupted: heed(),
      progress: (done, total) => {
        io.progress(`${storage.url}: ${done} of ${total} objects deleted`);
      },
    });
    return { ...finding, applied };
  } catch (error) {
    return failed(unreadable(archive, error));
  }
}
