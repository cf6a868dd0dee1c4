import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { makeDirectory } from '../harness/archiving.ts';
import { pgBasebackup, pgCombinebackup } from '../harness/pg-clients.ts';
import type { PostgresServer } from '../harness/postgres.ts';
import { makeScratch } from '../harness/scratch.ts';
import { copyAsServer, runAsServer, serverUser, type Version } from '../harness/server-user.ts';
import { waitFor } from '../harness/wait.ts';
import type { Place } from './prune-places.ts';

const SENDER = "SELECT pid FROM pg_stat_progress_basebackup WHERE phase = 'streaming database files'";
/** Of some 22 MB: long enough to be halted. */
const SLOW = '8M';

/** Base backups that were taken, by their names, and how each becomes a data directory again. */
export class Shelf {
  readonly #place: Place;
  /** The full backup first, the one itself last. */
  readonly #chains = new Map<string, readonly string[]>();
  readonly #unpacked = makeScratch('unpacked', serverUser());
  readonly #version: Version;

  constructor(place: Place, version: Version) {
    this.#place = place;
    this.#version = version;
  }

  /** Takes one; `from`: incremental, to that one. `wal` as -X has it: `none` leaves all WAL to the archive. */
  async take(
    server: PostgresServer,
    name: string,
    { from, wal = 'none', args = [] }: { from?: string; wal?: 'none' | 'stream'; args?: readonly string[] } = {},
  ): Promise<void> {
    const { workshop, format } = this.#place;
    const manifest = from === undefined ? [] : ['--incremental', join(workshop, from, 'backup_manifest')];
    await pgBasebackup(server, join(workshop, name), [`--format=${format}`, '-X', wal, ...manifest, ...args]);
    await this.#place.deliver(name);
    this.#chains.set(name, [...(from === undefined ? [] : this.#chainOf(from)), name]);
  }

  /** Takes a full one, which is halted half-way while `act` runs. */
  async takeAround(server: PostgresServer, name: string, act: () => Promise<void>): Promise<void> {
    const taking = this.take(server, name, { args: [`--max-rate=${SLOW}`] });
    const sender = await Promise.race([findSender(server), taking.then(() => undefined)]);
    if (sender === undefined) throw new Error(`backup ${name} was taken before it could be halted`);
    process.kill(sender, 'SIGSTOP');
    try {
      await act();
    } finally {
      process.kill(sender, 'SIGCONT');
    }
    await taking;
  }

  has(name: string): boolean {
    return this.#chains.has(name);
  }

  /** By its path, as walseal says it. */
  nameOf(path: string): string {
    const { location } = this.#place;
    if (!path.startsWith(`${location}/`)) throw new Error(`${path} is not in ${location}`);
    return path.slice(location.length + 1);
  }

  /** The one that it starts in, as its backup_label names it. */
  async firstSegmentOf(name: string): Promise<string> {
    const label = readFileSync(join(await this.#plain(name), 'backup_label'), 'utf8');
    const [, segment] = /^START WAL LOCATION: .*\(file ([0-9A-F]{24})\)/.exec(label) ?? [];
    if (segment === undefined) throw new Error(`backup ${name} does not tell where it starts:\n${label}`);
    return segment;
  }

  /** Makes a data directory of it, as an operator does before a recovery. */
  async restore(name: string): Promise<string> {
    const target = join(makeScratch('restored', serverUser()), 'data');
    const chain = await Promise.all(this.#chainOf(name).map((each) => this.#plain(each)));
    const [full = '', ...incrementals] = chain;
    if (incrementals.length === 0) copyAsServer(full, target);
    else await pgCombinebackup(this.#version, ['--output', target, ...chain]);
    // One that a standby was copied with would make it a standby.
    rmSync(join(target, 'standby.signal'), { force: true });
    return target;
  }

  #chainOf(name: string): readonly string[] {
    const chain = this.#chains.get(name);
    if (chain === undefined) throw new Error(`no backup ${name} was taken`);
    return chain;
  }

  async #plain(name: string): Promise<string> {
    const taken = join(this.#place.workshop, name);
    if (this.#place.format === 'plain') return taken;
    const directory = join(this.#unpacked, name);
    if (existsSync(directory)) return directory;
    makeDirectory(directory);
    await unpack(join(taken, 'base.tar'), directory);
    const wal = join(taken, 'pg_wal.tar');
    if (existsSync(wal)) await unpack(wal, join(directory, 'pg_wal'));
    copyAsServer(join(taken, 'backup_manifest'), join(directory, 'backup_manifest'));
    return directory;
  }
}

async function unpack(tar: string, directory: string): Promise<void> {
  const { status, stderr } = await runAsServer('tar', ['-xf', tar, '-C', directory]);
  if (status !== 0) throw new Error(`tar -xf ${tar} ended with ${status}:\n${stderr}`);
}

/** The server's process that sends a backup, once it sends files. */
async function findSender(server: PostgresServer): Promise<number> {
  let sender = 0;
  await waitFor('a backup to be on its way', async () => {
    const [row] = await server.query(SENDER);
    sender = Number(row?.['pid'] ?? 0);
    return sender > 0;
  });
  return sender;
}
