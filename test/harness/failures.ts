import { chmodSync, copyFileSync, readdirSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

import { codeOf } from '../../src/exit.ts';
import { damage, Host, objectPath, programs, type HostOptions } from './archiving.ts';
import { Removable } from './interference.ts';
import { archiveOf, type Past } from './past.ts';
import type { PostgresServer } from './postgres.ts';
import { makeScratch } from './scratch.ts';
import { copyAsServer, serverUser } from './server-user.ts';
import { childrenOf, waitFor } from './wait.ts';

/** One thing that goes wrong under a server, as it happens to people, and its mending. */
export interface Trouble {
  /** What the command says of it, on one line. */
  readonly says: RegExp;
  readonly begin: () => unknown;
  readonly mend: () => unknown;
}

/** An agent would have met a trouble before it was made, or after it was mended. */
const ALONE = { enabled: false };

/** Launchers, settings and an archive that can be broken and mended while a server uses them. */
export class Breakable {
  readonly host: Host;
  readonly archive: Removable;
  readonly #past: Past;
  /** Where wal-push and wal-fetch lie, and a link to the program. */
  readonly #launchers: string;
  readonly #program: string;

  private constructor(past: Past, host: Host, archive: string, installed: string) {
    this.#past = past;
    this.host = host;
    this.archive = new Removable(archive);
    this.#program = join(installed, 'walseal');
    this.#launchers = makeScratch('launchers', serverUser());
    for (const name of ['wal-push', 'wal-fetch']) copyFileSync(join(installed, name), join(this.#launchers, name));
    this.#link();
  }

  /** With an archive that holds what the past has archived. `env` is for the server, and so for the commands. */
  static async make(past: Past, env: Readonly<Record<string, string>> = {}): Promise<Breakable> {
    const archive = archiveOf(past);
    const host = await Host.make(past.site, { archives: [{ url: archive }], env, agent: ALONE });
    return new Breakable(past, host, archive, await programs());
  }

  get pushCommand(): string {
    return `${this.#launchers}/wal-push "%p"`;
  }

  get fetchCommand(): string {
    return `${this.#launchers}/wal-fetch "%f" "%p"`;
  }

  /** A package that was removed half-way: the launchers are there, and the program is not. */
  programGone(): Trouble {
    return {
      says: /walseal: (not found|No such file)/,
      begin: () => {
        rmSync(join(this.#launchers, 'walseal'));
      },
      mend: () => {
        this.#link();
      },
    };
  }

  /** Other settings for a while. */
  configured(options: HostOptions, says: RegExp): Trouble {
    const usual: HostOptions = { archives: [{ url: this.archive.path }], agent: ALONE };
    return {
      says,
      begin: () => {
        this.host.configure({ ...usual, ...options });
      },
      mend: () => {
        this.host.configure(usual);
      },
    };
  }

  misspelt(): Trouble {
    return this.configured(
      { top: { keep_bakups: 1 } },
      /unknown key keep_bakups; the nearest known one is keep_backups/,
    );
  }

  /** As an unmounted disk. */
  archiveGone(): Trouble {
    return {
      says: /archive file:.*: there is no directory/,
      begin: () => {
        this.archive.remove();
      },
      mend: () => {
        this.archive.bringBack();
      },
    };
  }

  archiveDenied(): Trouble {
    return withMode(this.archive.path, 0o000, /archive file:.*EACCES: permission denied/);
  }

  /** An object that is damaged, until its copy is brought back. It need not have been there before. */
  objectDamaged(name: string, says: RegExp): Trouble {
    return {
      says,
      begin: () => {
        this.bring(name, damage);
      },
      mend: () => {
        this.bring(name);
      },
    };
  }

  /** An object that the archive has lost, or has not yet, until it is brought. */
  objectGone(name: string, says: RegExp): Trouble {
    return {
      says,
      begin: () => {
        this.withhold(name);
      },
      mend: () => {
        this.bring(name);
      },
    };
  }

  /** Takes an object out of the archive. */
  withhold(name: string): void {
    rmSync(this.#pathOf(name), { force: true });
  }

  /** Puts an object into the archive in one step: as the past has stored it, or changed before. */
  bring(name: string, change: (path: string) => void = () => undefined): void {
    const path = this.#pathOf(name);
    const beside = join(this.archive.path, 'tmp', name);
    copyAsServer(join(this.#past.site.archives[0], this.#keyOf(name)), beside);
    change(beside);
    renameSync(beside, path);
  }

  #pathOf(name: string): string {
    return join(this.archive.path, this.#keyOf(name));
  }

  #keyOf(name: string): string {
    const original = this.#past.site.archives[0];
    const path = objectPath(original, name);
    if (path === undefined) throw new Error(`the past has not archived ${name}`);
    return path.slice(original.length);
  }

  #link(): void {
    symlinkSync(this.#program, join(this.#launchers, 'walseal'));
  }
}

/** A file or directory that its owner may not use as before. */
export function withMode(path: string, mode: number, says: RegExp): Trouble {
  return {
    says,
    begin: () => {
      chmodSync(path, mode);
    },
    mend: () => {
      chmodSync(path, 0o700);
    },
  };
}

/** By the name that it shows, since 13 does not list it in pg_stat_activity. 0 where there is none. */
export function archiverPid({ pid = 0 }: PostgresServer): number {
  return childrenOf(pid).find((child) => read(`/proc/${child}/cmdline`).startsWith('postgres: archiver')) ?? 0;
}

/**
 * Ends the program that the server has started: a launcher waits for it, and a shell for the launcher. It is looked for
 * again where it is not seen: the server may be between two of them.
 */
export async function killProgram(server: PostgresServer, signal: NodeJS.Signals): Promise<void> {
  const isKilled = (): boolean => {
    const program = descendantsOf(server.pid ?? 0).find((one) => read(`/proc/${one}/comm`).trim() === 'walseal');
    return program !== undefined && kill(program, signal);
  };
  await waitFor('a program of ours that the server runs', isKilled, 30_000, () => server.log().slice(-2_000));
}

/** False where it has ended by itself. */
function kill(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return false;
    throw error;
  }
}

function descendantsOf(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)]);
}

/** Empty where the process is gone. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** What a fetch that failed may not leave in pg_wal. */
export function leftoversIn(dataDirectory: string): string[] {
  return readdirSync(join(dataDirectory, 'pg_wal')).filter((name) =>
    /^(xlogtemp|RECOVERYXLOG|RECOVERYHISTORY)/.test(name),
  );
}
