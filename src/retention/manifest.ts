import { parseSystemId, type SystemId } from '../wal/control.ts';
import { WalFormatError } from '../wal/error.ts';
import { formatLsn, parseLsn, type Lsn } from '../wal/lsn.ts';
import { toTimelineId, type TimelineId } from '../wal/name.ts';
import { fieldsOf, textOf, type Lexeme, type Lexemes } from './manifest-tokens.ts';

/** A backup_manifest, read and verified. */
export interface Manifest {
  /** PostgreSQL-Backup-Manifest-Version: 1 of the servers 13 to 16, 2 since. */
  readonly version: number;
  /** Not in version 1. */
  readonly systemId: SystemId | undefined;
  /**
   * Bytes of each file, by its path in the data directory. A path that is not UTF-8 stands as `\x` and its bytes in hex.
   */
  readonly files: Map<string, number>;
  /** What is known of the few files that tell of the backup itself. */
  readonly described: ReadonlyMap<string, ManifestFile>;
  /** Oldest first, each beginning where the one before it ends; at least one. */
  readonly ranges: readonly WalRange[];
  /** When the file that was changed last was changed. */
  readonly newest: Date;
}

export interface ManifestFile {
  /** Bytes. */
  readonly size: number;
  readonly modified: Date;
  /** Undefined of a backup that was taken without checksums. */
  readonly checksum: { readonly algorithm: string; readonly hex: string } | undefined;
}

/** The WAL that a backup needs of one timeline. */
export interface WalRange {
  readonly timeline: TimelineId;
  readonly start: Lsn;
  /** Exclusive. */
  readonly end: Lsn;
}

type Walk<Result> = Generator<undefined, Result>;
type Fields = Readonly<Record<string, unknown>>;

const VERSION_FIELD = 'PostgreSQL-Backup-Manifest-Version';
const VERSIONS: ReadonlySet<string> = new Set(['1', '2']);
/** What is kept of a manifest's files besides paths and sizes: they are read later, and compared. */
const DESCRIBED: ReadonlySet<string> = new Set(['backup_label', 'tablespace_map', 'global/pg_control']);
const MODIFIED = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d GMT$/;
const HEX = /^(?:[0-9a-fA-F]{2})*$/;

/**
 * Walks through a manifest's JSON, from its first lexeme to its last, as json_parse_manifest in
 * src/common/parse_manifest.c does: the version comes first, and nothing unknown is passed over. Errors: WalFormatError.
 */
export function* walkManifest(lexemes: Lexemes): Walk<Manifest> {
  yield* expect(lexemes, '{');
  if (textOf(yield* lexemes.next()) !== VERSION_FIELD) {
    throw new WalFormatError(`it does not begin with ${VERSION_FIELD}`);
  }
  yield* expect(lexemes, ':');
  const version = readVersion(yield* lexemes.next());
  const files = new FileList();
  const ranges: WalRange[] = [];
  let systemId: SystemId | undefined;
  const seen = new Set<string>();
  while ((yield* separator(lexemes, '}')) === ',') {
    const name = yield* fieldName(lexemes, seen);
    switch (name) {
      case 'System-Identifier':
        systemId = readSystemId(yield* lexemes.next());
        break;
      case 'Files':
        yield* eachObject(lexemes, (fields) => files.add(fields));
        break;
      case 'WAL-Ranges':
        yield* eachObject(lexemes, (fields) => ranges.push(readRange(fields)));
        break;
      case 'Manifest-Checksum':
        yield* lexemes.next();
        break;
      default:
        throw new WalFormatError(`it has a field that is not known: ${JSON.stringify(name.slice(0, 80))}`);
    }
  }
  if ((yield* lexemes.next()) !== undefined) throw new WalFormatError('something follows its end');
  const needed = ['Files', 'WAL-Ranges', ...(version === 1 ? [] : ['System-Identifier'])];
  for (const name of needed) if (!seen.has(name)) throw new WalFormatError(`it has no ${name}`);
  return { version, systemId, ...files.result(), ranges: inOrder(ranges) };
}

function* eachObject(lexemes: Lexemes, take: (fields: Fields) => void): Walk<void> {
  yield* expect(lexemes, '[');
  let lexeme = yield* lexemes.object();
  if (lexeme === ']') return;
  for (;;) {
    if (lexeme?.startsWith('{') !== true) throw unexpected(lexeme, '{');
    take(fieldsOf(lexeme));
    if ((yield* separator(lexemes, ']')) === ']') return;
    lexeme = yield* lexemes.object();
  }
}

function* fieldName(lexemes: Lexemes, seen: Set<string>): Walk<string> {
  const lexeme = yield* lexemes.next();
  const name = textOf(lexeme);
  if (name === undefined) throw unexpected(lexeme, 'the name of a field');
  if (seen.has(name)) throw new WalFormatError(`it has ${name} more than once`);
  seen.add(name);
  yield* expect(lexemes, ':');
  return name;
}

function* separator(lexemes: Lexemes, end: '}' | ']'): Walk<string> {
  const lexeme = yield* lexemes.next();
  if (lexeme !== ',' && lexeme !== end) throw unexpected(lexeme, `, or ${end}`);
  return lexeme;
}

function* expect(lexemes: Lexemes, expected: string): Walk<void> {
  const lexeme = yield* lexemes.next();
  if (lexeme !== expected) throw unexpected(lexeme, expected);
}

function unexpected(lexeme: Lexeme | undefined, expected: string): WalFormatError {
  if (lexeme === undefined) return new WalFormatError('it is cut');
  return new WalFormatError(`it has ${lexeme.slice(0, 80)} where ${expected} is expected`);
}

function readVersion(lexeme: Lexeme | undefined): number {
  if (lexeme !== undefined && VERSIONS.has(lexeme)) return Number(lexeme);
  throw new WalFormatError(`its version is ${lexeme ?? 'cut'}: only 1 and 2 are known (PostgreSQL 13 to 18)`);
}

function readSystemId(lexeme: Lexeme | undefined): SystemId {
  const systemId = parseSystemId(lexeme ?? '');
  if (systemId === undefined) throw new WalFormatError(`its System-Identifier is ${lexeme ?? 'cut'}, which is none`);
  return systemId;
}

/** Takes the entries of Files. */
class FileList {
  readonly #files = new Map<string, number>();
  readonly #described = new Map<string, ManifestFile>();
  /** As it is written, which sorts by time. */
  #newest = '';

  add(fields: Fields): void {
    const path = pathOf(fields);
    const size = fields['Size'];
    const modified = textIn(fields, 'Last-Modified') ?? '';
    if (!isCount(size)) throw new WalFormatError(`its file ${path} has no size`);
    if (!MODIFIED.test(modified)) throw new WalFormatError(`its file ${path} has no time`);
    if (this.#files.has(path)) throw new WalFormatError(`it has the file ${path} more than once`);
    this.#files.set(path, size);
    if (modified > this.#newest) this.#newest = modified;
    if (DESCRIBED.has(path)) {
      this.#described.set(path, { size, modified: toDate(modified), checksum: checksumOf(fields) });
    }
  }

  result(): Pick<Manifest, 'files' | 'described' | 'newest'> {
    if (this.#files.size === 0) throw new WalFormatError('it names no file');
    return { files: this.#files, described: this.#described, newest: toDate(this.#newest) };
  }
}

function pathOf(fields: Fields): string {
  const path = textIn(fields, 'Path');
  const encoded = textIn(fields, 'Encoded-Path');
  if ((path ?? encoded ?? '') === '' || (path !== undefined && encoded !== undefined)) {
    throw new WalFormatError('one of its files has no path, or two');
  }
  if (encoded === undefined) return path ?? '';
  if (!HEX.test(encoded)) throw new WalFormatError(`its Encoded-Path ${encoded} is not hex`);
  const bytes = Buffer.from(encoded, 'hex');
  const text = bytes.toString('utf8');
  return Buffer.from(text, 'utf8').equals(bytes) ? text : `\\x${encoded.toLowerCase()}`;
}

function checksumOf(fields: Fields): ManifestFile['checksum'] {
  const algorithm = textIn(fields, 'Checksum-Algorithm');
  const hex = textIn(fields, 'Checksum');
  return algorithm === undefined || hex === undefined ? undefined : { algorithm, hex: hex.toLowerCase() };
}

function textIn(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  return typeof value === 'string' ? value : undefined;
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function toDate(modified: string): Date {
  const date = new Date(`${modified.slice(0, 10)}T${modified.slice(11, 19)}Z`);
  if (Number.isNaN(date.getTime())) throw new WalFormatError(`it has the time ${modified}, which does not exist`);
  return date;
}

function readRange(fields: Fields): WalRange {
  const id = fields['Timeline'];
  const timeline = isCount(id) ? toTimelineId(id) : undefined;
  if (timeline === undefined) throw new WalFormatError(`it names the timeline ${String(id)}, which can't exist`);
  const start = parseLsn(textIn(fields, 'Start-LSN') ?? '');
  const end = parseLsn(textIn(fields, 'End-LSN') ?? '');
  if (end <= start) throw new WalFormatError(`its WAL ends at ${formatLsn(end)}, and starts at ${formatLsn(start)}`);
  return { timeline, start, end };
}

/** The server writes the newest timeline first (AddWALInfoToBackupManifest in backup_manifest.c). */
function inOrder(ranges: readonly WalRange[]): WalRange[] {
  const sorted = [...ranges].sort((a, b) => a.timeline - b.timeline);
  for (const [index, range] of sorted.entries()) {
    const before = sorted[index - 1];
    if (before !== undefined && (before.timeline === range.timeline || before.end !== range.start)) {
      throw new WalFormatError(
        `its WAL of timeline ${before.timeline} ends at ${formatLsn(before.end)}, ` +
          `and that of timeline ${range.timeline} starts at ${formatLsn(range.start)}`,
      );
    }
  }
  if (sorted.length === 0) throw new WalFormatError('it names no WAL');
  return sorted;
}
