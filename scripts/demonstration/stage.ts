import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

import { command, NotAsTold, output } from './tell.ts';

/** Nothing that is run here takes longer. */
const COMMAND_LIMIT_MS = 120_000;
/** How long processes may take to go by themselves before they are killed. */
const PATIENCE_MS = 5_000;
const POLL_MS = 50;
/** Socket paths are at most 107 bytes; this leaves room for the socket's own name. */
const LONGEST_SOCKET_DIRECTORY = 85;

interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

export interface Finished {
  readonly status: number;
  /** stdout and stderr as they came. */
  readonly output: string;
}

/**
 * The temporary directory in which everything happens, the user who does it, and all processes that were started
 * there. `clear` leaves nothing of them.
 */
export class Stage {
  readonly directory: string;
  /** Whom the server runs as, where we are root; the server refuses to run as root. */
  readonly user: User | undefined;
  /** What commands find in their environment. */
  readonly env: Record<string, string>;
  readonly #apart = new Set<number>();

  constructor() {
    this.user = process.getuid?.() === 0 ? unprivilegedUser() : undefined;
    this.directory = mkdtempSync(join(tmpdir(), 'walseal-demo-'));
    this.env = {
      LC_ALL: 'C',
      TZ: 'UTC',
      WALSEAL_DEMO: this.directory,
      WALSEAL_CONFIG: this.path('etc/walseal.toml'),
    };
  }

  /**
   * Makes the programs reachable: `postgres` is a directory with bin/, lib/ and share/, `programs` one with walseal
   * and its launchers. Copies what the user who works here can't run where it lies.
   */
  prepare(postgres: string, programs: string): void {
    if (this.directory.length > LONGEST_SOCKET_DIRECTORY) {
      throw new NotAsTold(`${this.directory} is too long for the path of a socket: set TMPDIR to a shorter directory`);
    }
    chmodSync(this.directory, 0o755);
    this.own(this.directory);
    if (this.user && spawnSync('/bin/ls', [this.directory], { stdio: 'ignore', ...this.#identity() }).status !== 0) {
      throw new NotAsTold(`user ${this.user.name} cannot reach ${this.directory}: set TMPDIR to a directory for all`);
    }
    const ours = this.#reachable(programs, 'walseal', 'walseal');
    const theirs = join(this.#reachable(postgres, 'bin/postgres', 'postgresql'), 'bin');
    this.env['PATH'] = `${ours}:${theirs}:/usr/local/bin:/usr/bin:/bin`;
  }

  /** Gives a file or directory to the user who works here. */
  own(path: string): void {
    if (this.user !== undefined) chownSync(path, this.user.uid, this.user.gid);
  }

  path(relative: string): string {
    return join(this.directory, relative);
  }

  makeDirectory(relative: string): void {
    const path = this.path(relative);
    mkdirSync(path, { mode: 0o700 });
    this.own(path);
  }

  /** Shows a command line, runs it in the directory, and shows what it prints. */
  async show(commandLine: string): Promise<Finished> {
    command(commandLine);
    const finished = await this.run(commandLine);
    output(finished.output);
    return finished;
  }

  /** The same, for a command that must end with 0. */
  async must(commandLine: string): Promise<Finished> {
    const finished = await this.show(commandLine);
    if (finished.status !== 0) throw new NotAsTold(`"${commandLine}" ended with ${finished.status}`);
    return finished;
  }

  /** The same, and what it prints is of interest only if it fails. */
  async quietly(commandLine: string): Promise<void> {
    command(commandLine);
    const finished = await this.run(commandLine);
    if (finished.status !== 0)
      throw new NotAsTold(`"${commandLine}" ended with ${finished.status}:\n${finished.output}`);
  }

  /** Runs a command line with sh, in the directory, as the user who works here. */
  run(commandLine: string): Promise<Finished> {
    return new Promise((resolve, reject) => {
      const child = spawn('/bin/sh', ['-c', commandLine], {
        cwd: this.directory,
        env: this.env,
        stdio: ['ignore', 'pipe', 'pipe'],
        timeout: COMMAND_LIMIT_MS,
        ...this.#identity(),
      });
      let text = '';
      const take = (chunk: string): void => {
        text += chunk;
      };
      child.stdout.setEncoding('utf8').on('data', take);
      child.stderr.setEncoding('utf8').on('data', take);
      child.on('error', reject);
      child.on('close', (code, signal) => {
        if (code === null) reject(new NotAsTold(`"${commandLine}" was ended by ${String(signal)}`));
        else resolve({ status: code, output: text });
      });
    });
  }

  /** A program as a file that the user who works here can run: where it lies, or a copy. */
  reachableFile(program: string): string {
    return join(this.#reachable(dirname(program), basename(program), basename(dirname(program))), basename(program));
  }

  #identity(): { uid: number; gid: number } | undefined {
    return this.user && { uid: this.user.uid, gid: this.user.gid };
  }

  /** Returns `directory` if the user can run `program` in it, else a copy where that is so. */
  #reachable(directory: string, program: string, copyName: string): string {
    const runs = (where: string): boolean =>
      spawnSync(join(where, program), ['--version'], {
        cwd: '/',
        env: { HOME: this.directory },
        stdio: 'ignore',
        ...this.#identity(),
      }).status === 0;
    if (runs(directory)) return directory;
    const copy = this.path(copyName);
    cpSync(directory, copy, { recursive: true, verbatimSymlinks: true });
    execFileSync('chmod', ['-R', 'go+rX', copy]);
    if (runs(copy)) return copy;
    throw new NotAsTold(
      `${join(directory, program)} does not run here${this.user ? ` as user ${this.user.name}` : ''}, nor does a copy`,
    );
  }

  /** Ends every process that was started here, and removes the directory. Synchronous, so that it works in a signal handler. */
  clear(): void {
    const begin = Date.now();
    for (let pids = this.#processes(); pids.length > 0; pids = this.#processes()) {
      const isLate = Date.now() - begin > PATIENCE_MS;
      for (const pid of pids) signal(pid, isLate ? 'SIGKILL' : 'SIGQUIT');
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, POLL_MS);
      if (Date.now() - begin > 2 * PATIENCE_MS) break;
    }
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }

  /** Names a process that has no part in the server's life: it goes with the stage alone. */
  setApart(pid: number): void {
    this.#apart.add(pid);
  }

  /** Waits until no process of the server is left. */
  async allGone(): Promise<void> {
    await eventually('every process of the server is gone', () =>
      this.#processes().every((pid) => this.#apart.has(pid)),
    );
  }

  /**
   * Our processes: those with our mark in their environment. A server overwrites that memory with its title, so
   * the program it runs and the directory it is in tell it.
   */
  #processes(): number[] {
    const mark = `WALSEAL_DEMO=${this.directory}`;
    const isOurs = (pid: number): boolean => {
      const about = `/proc/${pid}`;
      if (
        attempt(() => readFileSync(`${about}/environ`, 'latin1'))
          ?.split('\0')
          .includes(mark)
      )
        return true;
      const isServer = attempt(() => readlinkSync(`${about}/exe`))?.includes('/bin/postgres') ?? false;
      return isServer && (attempt(() => readlinkSync(`${about}/cwd`))?.startsWith(`${this.directory}/`) ?? false);
    };
    return readdirSync('/proc')
      .map(Number)
      .filter((pid) => pid > 0 && isOurs(pid));
  }
}

/** Polls until the condition holds; throws where it does not within the limit. */
export async function eventually(
  what: string,
  holds: () => boolean | Promise<boolean>,
  limitMs = 60_000,
): Promise<void> {
  const end = Date.now() + limitMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new NotAsTold(`not within ${limitMs / 1000} s: ${what}`);
    await pause(POLL_MS);
  }
}

function unprivilegedUser(): User {
  const [user] = ['postgres', 'nobody'].flatMap((name) => lookUp(name) ?? []);
  if (user === undefined)
    throw new NotAsTold('PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody');
  return user;
}

function lookUp(name: string): User | undefined {
  const entry = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((one) => one.startsWith(`${name}:`));
  const [, , uid, gid] = entry?.split(':') ?? [];
  return uid === undefined || gid === undefined ? undefined : { name, uid: Number(uid), gid: Number(gid) };
}

function signal(pid: number, name: NodeJS.Signals): void {
  attempt(() => process.kill(pid, name));
}

/** A process that has gone meanwhile, or is not ours to look at, has nothing to say. */
function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch {
    return undefined;
  }
}
