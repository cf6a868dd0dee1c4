import type { Storehouse } from '../storehouse.ts';

/** Where one contestant works. A recovery goes on where a drain was, with another data directory. */
export interface Ground {
  /** A directory of its own, which belongs to the server's user: settings, keys, spools. */
  readonly directory: string;
  /** Of the server that will run its commands. */
  readonly dataDirectory: string;
  /** Where it keeps what it archives. */
  readonly storehouse: Storehouse;
}

/** Set up, and ready to be run by a server. */
export interface Ready {
  readonly archiveCommand: string;
  /** Undefined: it only archives. */
  readonly restoreCommand?: string;
  /** In the environment of the server, and so of its commands. */
  readonly env: Readonly<Record<string, string>>;
  /** What drains the waiting segments without a server, where that is how it is measured; run in pg_wal. */
  readonly loop?: readonly [command: string, ...args: string[]];
}

/** Somebody who archives. */
export interface Contestant {
  readonly name: string;
  /** For the legend. */
  readonly says: string;
  /** Whether it works ahead: a single command then says nothing of what it costs. */
  readonly ahead: boolean;
  readonly stores: readonly Storehouse['kind'][];
  /** Why it can't take part on this machine, or undefined. */
  missing(): string | undefined;
  prepare(ground: Ground): Promise<Ready>;
}
