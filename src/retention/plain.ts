import { parseControlFile, type ControlFile } from '../wal/control.ts';
import { WalFormatError } from '../wal/error.ts';
import { parseWalName } from '../wal/name.ts';
import { noEvidence, orProblem, type BackupFiles, type Evidence } from './backup-files.ts';
import { differenceFrom } from './described.ts';
import { LABEL_MAX, readLabel } from './label.ts';
import type { Manifest } from './manifest.ts';

const CONTROL_FILE = 'global/pg_control';
const CONTROL_MAX = 64 * 1024;
const WAL = 'pg_wal/';
/** What pg_basebackup -R changes behind the manifest's back, and others add: pg_verifybackup passes over it as well. */
const PASSED_OVER: ReadonlySet<string> = new Set(['postgresql.auto.conf', 'standby.signal', 'recovery.signal']);

/**
 * Holds a data directory (pg_basebackup -Fp) against its manifest, whose list of files is used up: each is there, with
 * its size. Files that the manifest does not name are fine. Errors: StorageError.
 */
export async function readPlain(files: BackupFiles, manifest: Manifest): Promise<Evidence> {
  const evidence = noEvidence();
  const segments = new Map<string, number>();
  const sizes = new Deviation();
  const present = new Set<string>();
  for await (const { path, size } of files.list()) {
    const expected = manifest.files.get(path);
    if (expected !== undefined) {
      manifest.files.delete(path);
      if (manifest.described.has(path)) present.add(path);
      if (expected !== size && !PASSED_OVER.has(path)) {
        sizes.add(`${path}, which has ${size} bytes instead of ${expected}`);
      }
    }
    const name = path.startsWith(WAL) ? path.slice(WAL.length) : '';
    if (parseWalName(name)?.kind === 'segment') segments.set(name, size);
  }
  const missing = new Deviation();
  for (const path of manifest.files.keys()) if (!PASSED_OVER.has(path)) missing.add(path);
  if (missing.count > 0) evidence.problems.push(missing.tell('missing'));
  if (sizes.count > 0) evidence.problems.push(sizes.tell('of another size'));
  if (present.has('backup_label')) {
    evidence.label = await orProblem(evidence.problems, 'backup_label', async () =>
      readLabel(await files.read('backup_label', LABEL_MAX), manifest.described.get('backup_label')),
    );
  }
  if (present.has(CONTROL_FILE)) {
    const control = await readControl(files, manifest, evidence.problems);
    evidence.systemId = control?.systemId;
    evidence.segmentSize = control?.segmentSize;
  }
  evidence.segments = segments;
  return evidence;
}

/** Files that differ from the manifest in one way. */
class Deviation {
  count = 0;
  #first = '';

  add(path: string): void {
    if (this.count === 0) this.#first = path;
    this.count += 1;
  }

  tell(how: string): string {
    if (this.count === 1) return `a file of its manifest is ${how}: ${this.#first}`;
    return `${this.count} files of its manifest are ${how}, the first of them ${this.#first}`;
  }
}

function readControl(files: BackupFiles, manifest: Manifest, problems: string[]): Promise<ControlFile | undefined> {
  return orProblem(problems, CONTROL_FILE, async () => {
    const bytes = await files.read(CONTROL_FILE, CONTROL_MAX);
    const described = manifest.described.get(CONTROL_FILE);
    const difference = differenceFrom(described, bytes);
    if (difference !== undefined) throw new WalFormatError(difference);
    try {
      return parseControlFile(bytes);
    } catch (error) {
      // It is what it was in the backup: that of a server whose layout is not known yet.
      if (error instanceof WalFormatError && described?.checksum !== undefined) return undefined;
      throw error;
    }
  });
}
