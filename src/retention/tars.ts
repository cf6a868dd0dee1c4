import { WalFormatError } from '../wal/error.ts';
import { noEvidence, orProblem, type BackupFiles, type Evidence } from './backup-files.ts';
import { ByteReader } from './bytes.ts';
import { differenceFrom } from './described.ts';
import { LABEL_MAX, readLabel, type LabelFacts } from './label.ts';
import type { Manifest, ManifestFile } from './manifest.ts';
import { readWalTar } from './own-wal.ts';
import { TAR_END_BYTES, tarEntryBytes, TarReader } from './tar.ts';
import { PACKINGS, unpack, type ListedTar, type Packing } from './unpack.ts';

/** By what stands before `.tar`: base, pg_wal, or the number of a tablespace. */
export type Tars = ReadonlyMap<string, ListedTar>;

const BASE = 'base';
const LABEL = 'backup_label';
const TABLESPACE_MAP = 'tablespace_map';
/** Of the WAL that pg_basebackup -X stream brings. */
export const WAL = 'pg_wal';
const TAR = /^(base|pg_wal|\d+)(\.tar(?:\.(?:gz|zst|lz4))?)$/;
const IN_TABLESPACE = /^pg_tblspc\/(\d+)\/(.*)$/s;
/** The server puts backup_label and tablespace_map first (perform_base_backup in basebackup.c). */
const FIRST_ENTRIES = 4;
/** Bytes: some 2,000 tablespaces with the longest paths. */
const TABLESPACE_MAP_MAX = 2 * 1024 * 1024;

/** Whether a file may be one of the tars of a backup, and of which. */
export function parseTarName(file: string): { readonly stem: string; readonly packing: Packing } | undefined {
  const [, stem, suffix] = TAR.exec(file) ?? [];
  const packing = PACKINGS.find((known) => known === suffix);
  return stem === undefined || packing === undefined ? undefined : { stem, packing };
}

/** The tars in a backup's directory. Where one lies there in several packings, the first of `PACKINGS` counts. */
export async function listTars(files: BackupFiles): Promise<Tars> {
  const tars = new Map<string, ListedTar>();
  for await (const { path, size } of files.list()) {
    const { stem, packing } = parseTarName(path) ?? {};
    if (stem === undefined || packing === undefined) continue;
    const other = tars.get(stem);
    if (other !== undefined && PACKINGS.indexOf(other.packing) < PACKINGS.indexOf(packing)) continue;
    tars.set(stem, { file: path, packing, size });
  }
  return tars;
}

/**
 * Holds the tars of a backup (pg_basebackup -Ft) against its manifest: each that must be there is there, and one that
 * is not compressed is at least as long as what the manifest says is in it. Of base.tar only the beginning is read,
 * where backup_label lies, so a compressed tar that is cut behind that is not noticed here; of pg_wal.tar, where no
 * other file names the cluster. Errors: StorageError.
 */
export async function readTars(files: BackupFiles, manifest: Manifest, tars: Tars): Promise<Evidence> {
  const evidence = noEvidence();
  const needed = neededTars(manifest);
  const base = tars.get(BASE);
  if (base !== undefined) {
    const beginning = await orProblem(evidence.problems, base.file, () => readBeginning(files, base, manifest));
    evidence.label = beginning?.label;
    for (const tablespace of beginning?.tablespaces ?? [])
      if (!needed.has(tablespace)) needed.set(tablespace, TAR_END_BYTES);
  }
  for (const [stem, bytes] of needed) {
    const problem = problemOf(stem, bytes, tars.get(stem));
    if (problem !== undefined) evidence.problems.push(problem);
  }
  const wal = tars.get(WAL);
  if (wal !== undefined && manifest.systemId === undefined) {
    const first = await orProblem(evidence.problems, wal.file, () => readWalTar(files, wal, 'first'));
    evidence.systemId = first?.systemId;
    evidence.segmentSize = first?.segmentSize;
  }
  return evidence;
}

/** How many bytes each tar has at least, by the files and directories that the manifest names. */
function neededTars({ files }: Pick<Manifest, 'files'>): Map<string, number> {
  const bytes = new Map([[BASE, TAR_END_BYTES]]);
  const directories = new Set<string>();
  const count = (stem: string, entry: number): void => {
    bytes.set(stem, (bytes.get(stem) ?? TAR_END_BYTES) + entry);
  };
  for (const [path, size] of files) {
    const [, tablespace, inside] = IN_TABLESPACE.exec(path) ?? [];
    const stem = tablespace ?? BASE;
    count(stem, tarEntryBytes(size));
    for (let parent = parentOf(inside ?? path); parent !== ''; parent = parentOf(parent)) {
      const directory = `${stem}:${parent}`;
      if (directories.has(directory)) break;
      directories.add(directory);
      count(stem, tarEntryBytes(0));
    }
  }
  return bytes;
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

function problemOf(stem: string, bytes: number, tar: ListedTar | undefined): string | undefined {
  if (tar === undefined) return `${stem}.tar is missing, in whatever packing`;
  if (tar.packing !== '.tar') return tar.size === 0 ? `${tar.file} is empty` : undefined;
  if (tar.size >= bytes) return undefined;
  return `${tar.file} is cut: it has ${tar.size} bytes, and the files in it take ${bytes}`;
}

interface Beginning {
  label?: LabelFacts;
  /** The numbers of the tablespaces, each of which has a tar of its own, be it empty. */
  tablespaces?: readonly string[];
}

/** Reads the entries that come first in base.tar, and nothing behind them. */
async function readBeginning(files: BackupFiles, base: ListedTar, { described }: Manifest): Promise<Beginning> {
  const bytes = new ByteReader(unpack(files.open(base.file), base.packing));
  try {
    const tar = new TarReader(bytes);
    const beginning: Beginning = {};
    const wanted = new Set([LABEL, TABLESPACE_MAP].filter((name) => described.has(name)));
    for (let count = 0; count < FIRST_ENTRIES && wanted.size > 0; count += 1) {
      const entry = await tar.next();
      if (entry === undefined) break;
      if (!wanted.delete(entry.name)) continue;
      const content = await tar.content(entry.name === LABEL ? LABEL_MAX : TABLESPACE_MAP_MAX);
      if (entry.name === LABEL) beginning.label = readLabel(content, described.get(LABEL));
      else beginning.tablespaces = tablespacesOf(content, described.get(TABLESPACE_MAP));
    }
    for (const name of wanted) throw new WalFormatError(`${name} is not among its first ${FIRST_ENTRIES} entries`);
    return beginning;
  } finally {
    await bytes.close();
  }
}

/** Of tablespace_map: a line for each, `number path`; a backslash keeps what follows it from ending the line (xlog.c). */
function tablespacesOf(content: Buffer, described: ManifestFile | undefined): string[] {
  const difference = differenceFrom(described, content);
  if (difference !== undefined) throw new WalFormatError(`of its tablespace_map, ${difference}`);
  const lines = content.toString('latin1').replace(/\\[^]/g, '');
  return [...lines.matchAll(/^(\d+) /gm)].map(([, number = '']) => number);
}
