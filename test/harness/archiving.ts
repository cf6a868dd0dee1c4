import {
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';

import { generateIdentity, generateSigningKey } from '../../src/seal/keys.ts';
import { builtDist } from './dist.ts';
import { baseBackup, startFrom, waitFor, type PostgresServer, type ServerOptions, type Settings } from './postgres.ts';
import { makeScratch } from './scratch.ts';
import { copyAsServer, runAsServer, serverUser, writeAsServer, type Ran } from './server-user.ts';

/** The executable and its launchers where the server's user can run them; copied once for each process. */
export async function programs(): Promise<string> {
  staged ??= stage();
  return staged;
}

let staged: Promise<string> | undefined;

async function stage(): Promise<string> {
  const directory = makeScratch('dist', serverUser());
  cpSync(await builtDist(), directory, { recursive: true });
  return directory;
}

type Value = string | number | boolean | readonly string[];
type Table = Readonly<Record<string, Value>>;

export interface HostOptions {
  /** The archives, as tables of the settings file; `url` may be a plain directory. Default: all of the site. */
  readonly archives?: readonly Table[];
  readonly top?: Table;
  readonly fetch?: Table;
  readonly encryption?: Table | 'none';
  readonly signing?: Table;
  readonly compression?: Table;
}

/** Archives in directories, and the keys that all hosts share which write and read there. */
export interface Site {
  readonly directory: string;
  readonly archives: readonly [string, ...string[]];
  readonly recipient: string;
  readonly identityFile: string;
  readonly signingKeyFile: string;
}

/** Makes a site with empty archives. */
export function makeSite(archiveCount = 1): Site {
  const directory = makeScratch('site', serverUser());
  const file = (name: string, content: string): string => {
    writeAsServer(join(directory, name), content);
    return join(directory, name);
  };
  const { identity, recipient } = generateIdentity();
  const [first, ...others] = Array.from({ length: archiveCount }, (_, i) =>
    makeDirectory(join(directory, `archive${i + 1}`)),
  );
  if (first === undefined) throw new Error('a site has at least one archive');
  return {
    directory,
    archives: [first, ...others],
    recipient,
    identityFile: file('identity.txt', `${identity}\n`),
    signingKeyFile: file('signing.pem', generateSigningKey().privatePem),
  };
}

/** Makes a directory that belongs to the server's user. */
export function makeDirectory(path: string): string {
  mkdirSync(path, { mode: 0o700 });
  chownSync(path, serverUser().uid, serverUser().gid);
  return path;
}

/** Walseal as it is set up on one machine: a settings file, and the commands that use it. */
export class Host {
  readonly site: Site;
  readonly configPath: string;
  readonly env: Readonly<Record<string, string>>;
  readonly #programs: string;

  private constructor(site: Site, programs: string) {
    this.site = site;
    this.#programs = programs;
    this.configPath = join(makeScratch('host', serverUser()), 'walseal.toml');
    this.env = { WALSEAL_CONFIG: this.configPath };
  }

  static async make(site: Site, options: HostOptions = {}): Promise<Host> {
    const host = new Host(site, await programs());
    host.configure(options);
    return host;
  }

  /** Writes the settings file anew: encrypted for the site, signed by it, and only its signatures are trusted. */
  configure(options: HostOptions): void {
    const { site } = this;
    const archives = options.archives ?? site.archives.map((url) => ({ url }));
    const encryption = options.encryption ?? { recipients: [site.recipient], identity_file: site.identityFile };
    writeAsServer(
      this.configPath,
      [
        encryption === 'none' ? table({ ...options.top, encryption }) : table(options.top ?? {}),
        ...archives.map((archive) => `[[archive]]\n${table({ ...archive, url: `file://${String(archive['url'])}` })}`),
        `[fetch]\n${table(options.fetch ?? {})}`,
        encryption === 'none' ? '' : `[encryption]\n${table(encryption)}`,
        `[signing]\n${table(options.signing ?? { key_file: site.signingKeyFile, trusted: [] })}`,
        `[compression]\n${table(options.compression ?? {})}`,
      ].join('\n'),
    );
  }

  get archiveCommand(): string {
    return `${this.#programs}/wal-push "%p"`;
  }

  get restoreCommand(): string {
    return `${this.#programs}/wal-fetch "%f" "%p"`;
  }

  get archiving(): Settings {
    return { archive_mode: 'on', archive_command: this.archiveCommand };
  }

  /** For a recovery that goes on archiving where it ends; a target, where there is one, is where it opens. */
  get restoring(): Settings {
    return { ...this.archiving, restore_command: this.restoreCommand, recovery_target_action: 'promote' };
  }

  /** Runs `wal-push`, `wal-fetch` or `walseal` as an operator does: as the server's user, in the data directory. */
  run(program: 'wal-push' | 'wal-fetch' | 'walseal', args: readonly string[], dataDirectory: string): Promise<Ran> {
    return runAsServer(join(this.#programs, program), args, { cwd: dataDirectory, env: this.env });
  }
}

function table(values: Table): string {
  return `${Object.entries(values)
    .map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`)
    .join('')}`;
}

/** Keys of all that lies in an archive directory, temporary files left out. */
export function objectKeys(archive: string): string[] {
  if (!existsSync(archive)) return [];
  return readdirSync(archive, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(archive, join(entry.parentPath, entry.name)))
    .filter((key) => !key.startsWith('tmp/'))
    .sort();
}

/** The path of the object of one WAL file under its plain name, or undefined. */
export function objectPath(archive: string, name: string): string | undefined {
  const key = objectKeys(archive).find((one) => one.includes('/wal/') && one.endsWith(`/${name}`));
  return key === undefined ? undefined : join(archive, key);
}

/** All objects of an archive with their bytes. */
export function contents(archive: string): Record<string, string> {
  return Object.fromEntries(objectKeys(archive).map((key) => [key, readFileSync(join(archive, key), 'base64')]));
}

/** A copy of an archive that a test may damage. */
export function copyArchive(archive: string): string {
  const copy = join(makeScratch('archive', serverUser()), 'copy');
  copyAsServer(archive, copy);
  return copy;
}

/** Changes one byte in the last third of a file, which is never in the header. */
export function damage(path: string): void {
  const bytes = readFileSync(path);
  const position = Math.floor(bytes.length * 0.8);
  bytes[position] = (bytes[position] ?? 0) ^ 0x40;
  writeFileSync(path, bytes);
}

const CREATE = `CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, entry text NOT NULL)`;
const SUMMARY = `SELECT count(*)::int AS rows, md5(string_agg(id || entry, ',' ORDER BY id)) AS checksum FROM ledger`;

/** What a database holds. */
export interface Summary {
  readonly rows: number;
  readonly checksum: string;
}

export async function createLedger(server: PostgresServer): Promise<void> {
  await server.query(CREATE);
}

/** Adds rows, about 120 bytes of WAL each and no two the same, in one transaction. */
export async function addRows(server: PostgresServer, rows: number): Promise<void> {
  await server.query('INSERT INTO ledger (entry) SELECT md5(random()::text) FROM generate_series(1, $1::int)', [rows]);
}

export async function summary(server: PostgresServer): Promise<Summary> {
  const [row] = await server.query(SUMMARY);
  return { rows: Number(row?.['rows']), checksum: String(row?.['checksum']) };
}

/** Ends the current segment, which has something to say, and returns its name. */
export async function switchSegment(server: PostgresServer): Promise<string> {
  await server.query("SELECT pg_logical_emit_message(true, 'test', 'a segment is never empty')");
  const [row] = await server.query('SELECT pg_walfile_name(pg_switch_wal()) AS name');
  return String(row?.['name']);
}

/** Adds rows and ends the segment that they are in, `count` times over. Returns the names of the segments. */
export async function fillSegments(server: PostgresServer, count: number, rowsEach = 200): Promise<string[]> {
  const names: string[] = [];
  for (let i = 0; i < count; i += 1) {
    await addRows(server, rowsEach);
    names.push(await switchSegment(server));
  }
  return names;
}

/** What the server has not archived yet, in order. */
export function waiting(server: PostgresServer): string[] {
  return readdirSync(join(server.dataDirectory, 'pg_wal', 'archive_status'))
    .filter((name) => name.endsWith('.ready'))
    .map((name) => name.slice(0, -'.ready'.length))
    .sort();
}

/** Until the server waits for no push any more. */
export async function untilAllArchived(server: PostgresServer): Promise<void> {
  await waitFor(
    'the archive to have everything',
    () => waiting(server).length === 0,
    LIMIT_MS,
    () => `still there: ${waiting(server).join(' ')}\n${server.log().slice(-4_000)}`,
  );
}

export async function untilLogged(server: PostgresServer, pattern: RegExp | string, from = 0): Promise<void> {
  await waitFor(
    `the log to say ${String(pattern)}`,
    () => logged(server, pattern, from),
    LIMIT_MS,
    () => server.log().slice(from),
  );
}

/** Whether the log, from a position on, says something. */
export function logged(server: PostgresServer, pattern: RegExp | string, from = 0): boolean {
  const text = server.log().slice(from);
  return typeof pattern === 'string' ? text.includes(pattern) : pattern.test(text);
}

/** Until a recovery or a promotion is over, and the server takes writes. */
export async function untilOpen(server: PostgresServer): Promise<void> {
  await waitFor(
    'the end of recovery',
    async () => {
      if (server.pid === undefined) throw new Error(`the server stopped:\n${server.log().slice(-6_000)}`);
      const [row] = await server.query('SELECT pg_is_in_recovery() AS recovering').catch(() => []);
      return row?.['recovering'] === false;
    },
    LIMIT_MS,
    () => server.log().slice(-4_000),
  );
}

/** Until the server has ended by itself. */
export async function untilStopped(server: PostgresServer): Promise<void> {
  await waitFor(
    'the server to stop by itself',
    () => server.pid === undefined,
    LIMIT_MS,
    () => server.log().slice(-4_000),
  );
}

export interface ArchiverStatistics {
  readonly archived: number;
  readonly failed: number;
  readonly lastFailed: string | null;
}

export async function archiverStatistics(server: PostgresServer): Promise<ArchiverStatistics> {
  const [row] = await server.query('SELECT archived_count, failed_count, last_failed_wal FROM pg_stat_archiver');
  const last = row?.['last_failed_wal'];
  return {
    archived: Number(row?.['archived_count']),
    failed: Number(row?.['failed_count']),
    lastFailed: typeof last === 'string' ? last : null,
  };
}

/** Takes a base backup, without WAL, into a directory of its own. */
export async function takeBackup(server: PostgresServer): Promise<string> {
  const target = join(makeScratch('backup', serverUser()), 'data');
  const client = await server.client();
  await baseBackup(client, server.dataDirectory, target, { waitForArchive: false });
  await client.end();
  return target;
}

/** Starts a server on a copy of a backup (or of a stopped server's data directory). */
export async function startCopy(backup: string, options: ServerOptions): Promise<PostgresServer> {
  const dataDirectory = join(makeScratch('copy', serverUser()), 'data');
  copyAsServer(backup, dataDirectory);
  return startFrom(dataDirectory, options);
}

const LIMIT_MS = 30_000;

/** One call of a restore_command: the file, where it was wanted, and the status that the server saw. */
export interface Request {
  readonly name: string;
  readonly path: string;
  readonly status: number;
}

/**
 * A restore_command round another one, which notes each request, and runs lines of sh before or after it. They find
 * the name in $1, the path in $2, the number of the request (from 1) in $n, and afterwards the status in $status.
 */
export class TracedRestore {
  readonly command: string;
  readonly #notes: string;

  constructor(inner: string, hooks: { before?: string; after?: string } = {}) {
    const directory = makeScratch('traced', serverUser());
    const script = join(directory, 'restore');
    this.#notes = join(directory, 'requests');
    writeAsServer(this.#notes, '');
    const innermost = inner.replace('"%f"', '"$1"').replace('"%p"', '"$2"');
    writeAsServer(
      script,
      `n=$(($(wc -l < ${this.#notes}) + 1))
${hooks.before ?? ':'}
${innermost}
status=$?
echo "$1 $2 $status" >> ${this.#notes}
${hooks.after ?? ':'}
exit $status
`,
    );
    this.command = `sh ${script} "%f" "%p"`;
  }

  requests(): Request[] {
    return readFileSync(this.#notes, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => {
        const [name = '', path = '', status = ''] = line.split(' ');
        return { name, path, status: Number(status) };
      });
  }
}

/** Takes a directory out of sight, as an unmounted disk is; `shell` does the same from a hook. */
export class Removable {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  get shell(): string {
    return `mv ${this.path} ${this.path}.away`;
  }

  remove(): void {
    renameSync(this.path, `${this.path}.away`);
  }

  bringBack(): void {
    renameSync(`${this.path}.away`, this.path);
  }

  get isAway(): boolean {
    return !existsSync(this.path);
  }
}
