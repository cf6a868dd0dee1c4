import { formatLsn } from '../wal/lsn.ts';
import type { BaseBackup } from './base-backup.ts';
import { orProblem, type BackupFiles, type Evidence } from './backup-files.ts';
import { startTimeOf } from './label.ts';
import type { Manifest, WalRange } from './manifest.ts';
import { readWalTar, wholeSegments } from './own-wal.ts';
import { readPlain } from './plain.ts';
import { readManifest } from './read-manifest.ts';
import { listTars, readTars, WAL } from './tars.ts';
import { PACKINGS, type ListedTar } from './unpack.ts';

/** Of an incremental backup, what the names of files say that hold changes alone (basebackup_incremental.h). */
const INCREMENTAL = /(?:^|\/)INCREMENTAL\.\d[^/]*$/;

/** Where a backup was found, and what the listing tells of it. */
export interface FoundBackup {
  readonly files: BackupFiles;
  /** When its manifest was written there. */
  readonly manifestModified: Date;
  /** Whether a base.tar, in whatever packing, lies beside the manifest. */
  readonly hasBaseTar: boolean;
}

/**
 * Reads a backup. `wantsOwnWal`: whether to read the whole of its pg_wal.tar, for the names in it.
 * Errors: WalFormatError where the manifest is not whole and right, since nothing can be said then; StorageError.
 */
export async function readBackup(
  { files, manifestModified, hasBaseTar }: FoundBackup,
  wantsOwnWal: (backup: BaseBackup) => boolean,
): Promise<BaseBackup> {
  const manifest = await readManifest(files.open('backup_manifest'));
  // Where the manifest names it, it is a stray file in a data directory.
  const isTar = hasBaseTar && !PACKINGS.some((packing) => manifest.files.has(`base${packing}`));
  const changed = holdsChanges(manifest.files.keys());
  const tars = isTar ? await listTars(files) : undefined;
  const evidence = tars === undefined ? await readPlain(files, manifest) : await readTars(files, manifest, tars);
  const backup = toBackup(manifest, evidence, { path: files.path, manifestModified, changed });
  const wal = tars?.get(WAL);
  return wal !== undefined && wantsOwnWal(backup) ? withOwnWal(backup, files, wal) : backup;
}

async function withOwnWal(backup: BaseBackup, files: BackupFiles, wal: ListedTar): Promise<BaseBackup> {
  const problems = [...backup.problems];
  const read = await orProblem(problems, wal.file, () => readWalTar(files, wal, 'all'));
  const { systemId = backup.systemId, segments = new Set<string>() } = read ?? {};
  if (systemId === (backup.systemId ?? systemId)) return { ...backup, problems, ownWal: segments };
  problems.push(`${wal.file} is of the cluster ${String(systemId)}, the backup of ${String(backup.systemId)}`);
  return { ...backup, problems };
}

function holdsChanges(paths: Iterable<string>): boolean {
  for (const path of paths) if (INCREMENTAL.test(path)) return true;
  return false;
}

interface Circumstances {
  readonly path: string;
  readonly manifestModified: Date;
  /** Whether files in it hold changes alone. */
  readonly changed: boolean;
}

function toBackup(manifest: Manifest, evidence: Evidence, circumstances: Circumstances): BaseBackup {
  const { path, manifestModified, changed } = circumstances;
  const [first, last] = [manifest.ranges[0], manifest.ranges.at(-1)];
  if (first === undefined || last === undefined) throw new Error('a manifest without WAL was read');
  const { label, segmentSize } = evidence.label ?? {};
  const stoppedAt = latest(manifest.newest, manifestModified);
  const startedAt = (label && startTimeOf(label)) ?? manifest.described.get('backup_label')?.modified ?? stoppedAt;
  const size = evidence.segmentSize ?? segmentSize;
  return {
    path,
    label: label?.label ?? '',
    kind: changed || label?.incrementalFrom !== undefined ? 'incremental' : 'full',
    systemId: manifest.systemId ?? evidence.systemId,
    segmentSize: size,
    start: { timeline: first.timeline, lsn: first.start },
    stop: { timeline: last.timeline, lsn: last.end },
    ranges: manifest.ranges,
    startedAt: startedAt < stoppedAt ? startedAt : stoppedAt,
    stoppedAt,
    incrementalFrom: label?.incrementalFrom,
    ownWal: wholeSegments(evidence.segments, size),
    problems: [...evidence.problems, ...disagreements(manifest, first, evidence, changed)],
  };
}

/** What the files of one backup say differently. */
function* disagreements(manifest: Manifest, first: WalRange, evidence: Evidence, changed: boolean): Iterable<string> {
  const { systemId, segmentSize, label: facts } = evidence;
  if (manifest.systemId !== undefined && systemId !== undefined && manifest.systemId !== systemId) {
    yield `its manifest is of the cluster ${manifest.systemId}, its files are of ${systemId}`;
  }
  if (facts === undefined) {
    if (!manifest.described.has('backup_label')) yield 'its manifest names no backup_label';
    return;
  }
  const { label } = facts;
  if (facts.segmentSize !== undefined && segmentSize !== undefined && facts.segmentSize !== segmentSize) {
    yield `its segments have ${segmentSize} bytes, and by its backup_label ${facts.segmentSize}`;
  }
  if (label.start !== first.start || label.startTimeline !== first.timeline) {
    const start = `${formatLsn(label.start)} on timeline ${label.startTimeline}`;
    yield `its backup_label starts at ${start}, its manifest at ${formatLsn(first.start)} on timeline ${first.timeline}`;
  }
  if (changed && label.incrementalFrom === undefined) {
    yield 'its files hold changes alone, and its backup_label does not say to what';
  }
}

function latest(a: Date, b: Date): Date {
  return a > b ? a : b;
}
