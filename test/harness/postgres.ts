import { spawn, type ChildProcess } from 'node:child_process';
import { appendFileSync, closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import pg from 'pg';

import { freePort } from './ports.ts';
import { killWithUs, makeScratch, removeScratch } from './scratch.ts';
import {
  asUser,
  baseEnvironment,
  binary,
  copyAsServer,
  runAsServer,
  serverUser,
  VERSIONS,
  writeAsServer,
  type Version,
} from './server-user.ts';
import { childrenOf, isRunning, waitFor } from './wait.ts';

export type Settings = Readonly<Record<string, string | number | boolean>>;

export interface ServerOptions {
  /** In harness.conf, which postgresql.conf includes last. A later start of the same directory begins anew. */
  readonly settings?: Settings;
  /** Added to the environment of the server, and so of the commands that it runs. */
  readonly env?: Readonly<Record<string, string>>;
  /** True: `env` is all of the environment, as below `env -i`. */
  readonly bare?: boolean;
  /** Words before the server's command, which they end by running as the server's user; see namespace.ts. */
  readonly within?: readonly string[];
  /** The server's standard input. Default: /dev/null. */
  readonly stdin?: 'pipe';
  /** `recovery` or `standby` creates that signal file before the start. */
  readonly signal?: 'recovery' | 'standby';
  /** False returns at once, for a server that is expected to end by itself. Default: wait until it accepts connections. */
  readonly waitUntilReady?: boolean;
}

export interface InitOptions extends ServerOptions {
  readonly version: Version;
  /** The data directory to be; it must be empty or absent. Default: one that goes with the process. */
  readonly dir?: string;
  readonly walSegmentSizeMb?: number;
  readonly initdbArgs?: readonly string[];
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export type StopMode = 'smart' | 'fast' | 'immediate';

/** Good for two cores and for speed: nothing here survives the machine, and nothing runs that no test asked for. */
const DEFAULTS: Settings = {
  fsync: false,
  synchronous_commit: false,
  autovacuum: false,
  jit: false,
  shared_buffers: '8MB',
  max_connections: 15,
  max_worker_processes: 2,
  wal_level: 'replica',
  max_wal_senders: 4,
  listen_addresses: '127.0.0.1',
  log_line_prefix: '%m [%p] %b ',
  log_timezone: 'UTC',
  timezone: 'UTC',
};

const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 60_000;
const STOP_SIGNALS = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' } as const;

/** Makes a new cluster and starts its server. */
export async function startPostgres(options: InitOptions): Promise<PostgresServer> {
  const dataDirectory = options.dir ?? join(makeScratch(`pg${options.version}`, serverUser()), 'data');
  await initdb(dataDirectory, options);
  return startFrom(dataDirectory, options);
}

/** Starts a server on a data directory that is there already: a recovered copy, a standby, a stopped server. */
export async function startFrom(dataDirectory: string, options: ServerOptions = {}): Promise<PostgresServer> {
  const server = new PostgresServer(dataDirectory);
  await server.start(options);
  return server;
}

async function initdb(dataDirectory: string, options: InitOptions): Promise<void> {
  const size = options.walSegmentSizeMb === undefined ? [] : [`--wal-segsize=${options.walSegmentSizeMb}`];
  const common = ['--no-sync', '--username=postgres', '--auth=trust', '--no-locale', '--encoding=UTF8'];
  const own = options.initdbArgs ?? [];
  const args = ['-D', dataDirectory, ...common, ...size, ...own];
  const { status, stdout, stderr } = await runAsServer(binary(options.version, 'initdb'), args, { cwd: '/' });
  if (status !== 0) throw new Error(`initdb of ${options.version} ended with ${status}:\n${stdout}\n${stderr}`);
}

/** A server on one data directory; it can be stopped and started again. */
export class PostgresServer {
  readonly dataDirectory: string;
  readonly version: Version;
  /** Of the server's socket; the log lies there too. */
  readonly socketDirectory: string;
  port = 0;
  /** Settles when the server's process has ended, whoever ended it. */
  exited: Promise<Exit> = Promise.resolve({ code: null, signal: null });
  #process: ChildProcess | undefined;
  #options: ServerOptions = {};
  readonly #clients = new Set<pg.Client>();

  constructor(dataDirectory: string) {
    this.dataDirectory = dataDirectory;
    this.version = versionOf(dataDirectory);
    this.socketDirectory = makeScratch('socket', serverUser());
  }

  /** The postmaster's process id, while it runs. */
  get pid(): number | undefined {
    const started = this.#process?.pid;
    return started === undefined ? undefined : (postmasterBelow(started) ?? started);
  }

  async start(options: ServerOptions = this.#options): Promise<void> {
    if (this.#process !== undefined) throw new Error(`the server on ${this.dataDirectory} runs already`);
    this.#options = options;
    this.port = await freePort();
    this.configure(options.settings ?? {});
    if (options.signal !== undefined) writeAsServer(join(this.dataDirectory, `${options.signal}.signal`), '');
    const log = openSync(this.#logPath, 'a');
    const [program, ...words] = [...(options.within ?? []), binary(this.version, 'postgres')];
    const child = spawn(program, [...words, '-D', this.dataDirectory], {
      cwd: '/',
      env: { ...(options.bare !== true && baseEnvironment()), ...options.env },
      stdio: [options.stdin ?? 'ignore', log, log],
      detached: true,
      ...(options.within === undefined && asUser(serverUser())),
    });
    closeSync(log);
    // A forgotten server must not keep a process waiting: the watchdog ends it.
    child.unref();
    this.#process = child;
    const forget = child.pid === undefined ? () => undefined : killWithUs(child.pid);
    this.exited = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        forget();
        this.#process = undefined;
        resolve({ code, signal });
      });
    });
    this.exited.catch(() => undefined);
    if (options.waitUntilReady ?? true) await this.#ready();
  }

  /** Writes harness.conf anew; a running server sees it after `reload`. */
  configure(settings: Settings): void {
    const own = { port: this.port, unix_socket_directories: this.socketDirectory };
    const lines = Object.entries({ ...DEFAULTS, ...settings, ...own }).map(
      ([name, value]) => `${name} = ${quote(value)}`,
    );
    writeAsServer(join(this.dataDirectory, 'harness.conf'), `${lines.join('\n')}\n`);
    const main = join(this.dataDirectory, 'postgresql.conf');
    const include = "include_if_exists = 'harness.conf'\n";
    if (!readFileSync(main, 'utf8').endsWith(include)) appendFileSync(main, `\n${include}`);
  }

  /** Has the running server read harness.conf with other settings. */
  reload(settings: Settings): void {
    this.#options = { ...this.#options, settings };
    this.configure(settings);
    this.signal('SIGHUP');
  }

  /** Sends the postmaster a signal, if it runs. */
  signal(signal: NodeJS.Signals): void {
    const { pid } = this;
    if (pid !== undefined) process.kill(pid, signal);
  }

  /** A connection as the superuser. It is closed when the server stops, or by its own end(). */
  async client(config: pg.ClientConfig = {}): Promise<pg.Client> {
    const client = new pg.Client({
      host: this.socketDirectory,
      port: this.port,
      user: 'postgres',
      database: 'postgres',
      ...config,
    });
    // A server that goes away under a connection is what many tests are about.
    client.on('error', () => undefined);
    client.once('end', () => this.#clients.delete(client));
    await client.connect();
    this.#clients.add(client);
    return client;
  }

  /** Runs one statement on a connection of its own. */
  async query(text: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
    const client = await this.client();
    try {
      const result = await client.query<Record<string, unknown>>(text, values);
      return result.rows;
    } finally {
      await client.end();
    }
  }

  /** Ends the server and waits until it has ended; one that has ended already is fine. */
  async stop(mode: StopMode = 'fast'): Promise<Exit> {
    await Promise.all([...this.#clients].map((client) => client.end()));
    this.signal(STOP_SIGNALS[mode]);
    await waitFor(
      `${mode} stop of ${this.dataDirectory}`,
      () => this.#process === undefined,
      STOP_LIMIT_MS,
      () => this.log(),
    );
    return this.exited;
  }

  /** SIGKILL to the postmaster alone, as the OOM killer does; its children see that it is gone, and are waited for. */
  async kill(): Promise<Exit> {
    const children = this.pid === undefined ? [] : childrenOf(this.pid);
    this.signal('SIGKILL');
    const exit = await this.exited;
    await waitFor('end of the server processes', () => !children.some(isRunning), STOP_LIMIT_MS);
    return exit;
  }

  async restart(mode: StopMode = 'fast', options: ServerOptions = this.#options): Promise<void> {
    await this.stop(mode);
    const { signal: _, ...rest } = options;
    await this.start(options === this.#options ? rest : options);
  }

  /** Ends the server at once and removes its data directory. */
  async remove(): Promise<void> {
    await this.stop('immediate');
    removeScratch(this.dataDirectory);
    removeScratch(this.socketDirectory);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }

  /** All that the server and its commands have written to its log so far. */
  log(): string {
    return existsSync(this.#logPath) ? readFileSync(this.#logPath, 'utf8') : '';
  }

  get #logPath(): string {
    return join(this.socketDirectory, 'server.log');
  }

  async #ready(): Promise<void> {
    const what = `start of the server ${this.version} on ${this.dataDirectory}`;
    await waitFor(
      what,
      () => this.#hasEnded() || this.#acceptsConnections(),
      START_LIMIT_MS,
      () => this.log(),
    );
    if (this.#hasEnded()) throw new Error(`${what} failed:\n${this.log()}`);
  }

  #hasEnded(): boolean {
    return this.#process === undefined;
  }

  /** As the server itself knows it: 1 in a PID namespace of its own. */
  #ownPid(): string | undefined {
    return this.pid === undefined ? undefined : /^NSpid:.*\b(\d+)$/m.exec(statusOf(this.pid))?.[1];
  }

  /** By the status that it writes into postmaster.pid, and its own pid, since a crash leaves an old file. */
  #acceptsConnections(): boolean {
    const path = join(this.dataDirectory, 'postmaster.pid');
    if (!existsSync(path)) return false;
    const lines = readFileSync(path, 'utf8').split('\n');
    return lines[0] === this.#ownPid() && ['ready', 'standby'].includes(lines[7]?.trim() ?? '');
  }
}

/**
 * Copies a running server's data directory between the start and the end of a base backup: all but pg_wal, slots and
 * what belongs to the running process. `target` must not exist yet.
 */
export async function baseBackup(
  client: pg.Client,
  dataDirectory: string,
  target: string,
  options: { label?: string; waitForArchive?: boolean } = {},
): Promise<{ backupLabel: string; stopLsn: string }> {
  const { label = 'walseal test', waitForArchive = true } = options;
  const nonExclusive = versionOf(dataDirectory) < 15;
  await client.query(nonExclusive ? 'SELECT pg_start_backup($1, true, false)' : 'SELECT pg_backup_start($1, true)', [
    label,
  ]);
  copyAsServer(dataDirectory, target, (path) => !LEFT_OUT.test(path.slice(dataDirectory.length)));
  const { rows } = await client.query<{ lsn: string; labelfile: string; spcmapfile: string }>(
    nonExclusive ? 'SELECT * FROM pg_stop_backup(false, $1)' : 'SELECT * FROM pg_backup_stop($1)',
    [waitForArchive],
  );
  const [stopped] = rows;
  if (stopped === undefined) throw new Error('the end of a backup returned nothing');
  writeAsServer(join(target, 'backup_label'), stopped.labelfile);
  if (stopped.spcmapfile.trim() !== '') writeAsServer(join(target, 'tablespace_map'), stopped.spcmapfile);
  return { backupLabel: stopped.labelfile, stopLsn: stopped.lsn };
}

const LEFT_OUT =
  /^\/(postmaster\.(pid|opts)|(pg_wal|pg_replslot|pg_dynshmem|pg_notify|pg_stat_tmp)\/.+|.*\/pgsql_tmp.*)$/;

function versionOf(dataDirectory: string): Version {
  const text = readFileSync(join(dataDirectory, 'PG_VERSION'), 'utf8').trim();
  const version = VERSIONS.find((known) => String(known) === text);
  if (version === undefined) throw new Error(`${dataDirectory} is of version ${text}, which is not installed`);
  return version;
}

/** The server's process, where another that waits for it was started in its place. */
function postmasterBelow(started: number): number | undefined {
  if (/^Name:\tpostgres$/m.test(statusOf(started))) return started;
  return childrenOf(started)
    .map(postmasterBelow)
    .find((pid) => pid !== undefined);
}

/** Empty where the process has ended. */
function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8');
  } catch {
    return '';
  }
}

function quote(value: string | number | boolean): string {
  return `'${String(value).replaceAll("'", "''").replaceAll('\\', '\\\\').replaceAll('\n', '\\n')}'`;
}
