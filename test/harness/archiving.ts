import { chownSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

import { generateIdentity, generateSigningKey } from '../../src/seal/keys.ts';
import { builtDist } from './dist.ts';
import type { Settings } from './postgres.ts';
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

type Program = 'wal-push' | 'wal-fetch' | 'wal-prune' | 'walseal';
type Value = string | number | boolean | readonly string[];
export type Table = Readonly<Record<string, Value>>;

export interface HostOptions {
  /** Credentials, for archives in the clouds' stores. */
  readonly env?: Readonly<Record<string, string>>;
  /** The archives, as tables of the settings file; `url` may be a plain directory. Default: all of the site. */
  readonly archives?: readonly (Table & { readonly url: string })[];
  readonly top?: Table;
  /** Where base backups lie, as tables of the settings file. */
  readonly backups?: readonly Table[];
  readonly fetch?: Table;
  readonly encryption?: Table | 'none';
  readonly signing?: Table;
  readonly compression?: Table;
  readonly agent?: Table;
}

/** With WALSEAL_TEST_AGENT=off every command works alone, but for those that a test of the agent is about. */
const USUAL_AGENT: Table = process.env['WALSEAL_TEST_AGENT'] === 'off' ? { enabled: false } : {};

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

/** Makes a signing key, both halves, in a directory. */
export function signingKeyIn(directory: string): { readonly file: string; readonly publicFile: string } {
  const { privatePem, publicPem } = generateSigningKey();
  const [file, publicFile] = [join(directory, 'signing.pem'), join(directory, 'signing.pub.pem')];
  writeAsServer(file, privatePem);
  writeAsServer(publicFile, publicPem);
  return { file, publicFile };
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

  private constructor(site: Site, programs: string, env: Readonly<Record<string, string>>) {
    this.site = site;
    this.#programs = programs;
    this.configPath = join(makeScratch('host', serverUser()), 'walseal.toml');
    this.env = { ...env, WALSEAL_CONFIG: this.configPath };
  }

  static async make(site: Site, options: HostOptions = {}): Promise<Host> {
    const host = new Host(site, await programs(), options.env ?? {});
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
        ...archives.map((archive) => `[[archive]]\n${table({ ...archive, url: urlOf(archive.url) })}`),
        ...(options.backups ?? []).map((location) => `[[backups]]\n${table(location)}`),
        `[fetch]\n${table(options.fetch ?? {})}`,
        encryption === 'none' ? '' : `[encryption]\n${table(encryption)}`,
        `[signing]\n${table(options.signing ?? { key_file: site.signingKeyFile, trusted: [] })}`,
        `[compression]\n${table(options.compression ?? {})}`,
        `[agent]\n${table(options.agent ?? USUAL_AGENT)}`,
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

  /** Runs a program as an operator does: as the server's user, in the data directory, or anywhere. */
  run(program: Program, args: readonly string[], directory = '/'): Promise<Ran> {
    return runAsServer(join(this.#programs, program), args, { cwd: directory, env: this.env });
  }
}

function urlOf(place: string): string {
  return place.includes('://') ? place : `file://${place}`;
}

function table(values: Table): string {
  return Object.entries(values)
    .map(
      ([key, value]) => `${key} = ${JSON.stringify(value)}
`,
    )
    .join('');
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
