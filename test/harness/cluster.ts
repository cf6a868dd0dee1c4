import { createHash, randomBytes } from 'node:crypto';
import {
  chownSync,
  existsSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { spawn } from 'node:child_process';

import { fingerprint } from '../../src/seal/fingerprint.ts';
import { generateIdentity, generateSigningKey } from '../../src/seal/keys.ts';
import { parseSystemId, type SystemId } from '../../src/wal/control.ts';
import { crc32c } from '../../src/wal/crc32c.ts';
import { PAGE_MAGIC } from '../../src/wal/header.ts';
import { asideKey, objectKey } from '../../src/wal/keys.ts';
import { parseWalName, segmentStart, toSegmentSize, type WalName } from '../../src/wal/name.ts';
import { builtDist, CHECKOUT } from './dist.ts';
import { makeScratch, removeScratch } from './scratch.ts';
import { asUser, serverUser, type Version } from './server-user.ts';

/**
 * A cluster without a server: a data directory with what walseal reads of one (pg_control, pg_wal, the signal files,
 * postmaster.pid), an archive in a directory, keys, and a settings file. Everything lies in one scratch directory.
 */

export const MIB = 1024 * 1024;
const PAGE_BYTES = 8192;
const LONG_HEADER_BYTES = 40;
const SHORT_HEADER_BYTES = 24;
const RECORD_BYTES = 64;

export interface ClusterOptions {
  readonly version?: Version;
  readonly systemId?: string;
  /** Another cluster's keys and archive are used instead of new ones: its copy, or its neighbour. */
  readonly beside?: TestCluster;
  /** The settings file, below the archive and the keys; see `settings`. */
  readonly settings?: SettingsParts;
}

export interface SettingsParts {
  /** Lines above the first table. */
  readonly top?: string;
  /** `[[archive]]` tables, each as its lines. Default: the cluster's own archive. */
  readonly archives?: readonly string[];
  /** False: `encryption = "none"`. */
  readonly encrypted?: boolean;
  /** Whether the settings name the private half too. Default: true. */
  readonly identity?: boolean;
  /** Lines of [signing]. */
  readonly signing?: string;
  /** Lines of [fetch]. */
  readonly fetch?: string;
}

/** How the header of a made segment differs from what its name and its cluster say. */
export interface Header {
  readonly magic?: number;
  readonly info?: number;
  readonly timeline?: number;
  readonly pageAddress?: bigint;
  readonly systemId?: string;
  readonly segmentSize?: number;
}

/** What tells a server, and us, what it is. */
export type SignalFile = 'recovery.signal' | 'standby.signal' | 'promote';

export interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  /** Default: the data directory, where the server runs its commands. */
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** `bin`: on Node, from the sources (the default); `dist`: the executable. */
  readonly launcher?: 'bin' | 'dist';
  /** Runs the executable as the server's user, where we are root; see `giveToServer`. */
  readonly asServer?: boolean;
}

const RUN_LIMIT_MS = 60_000;

export class TestCluster {
  /** Holds all the rest. */
  readonly root: string;
  /** With a space in its name, as PGDATA can have. */
  readonly dataDirectory: string;
  readonly archive: string;
  readonly config: string;
  readonly version: Version;
  readonly systemId: SystemId;
  readonly nonce: Buffer;
  readonly keys: {
    readonly identity: string;
    readonly recipient: string;
    readonly signing: string;
    readonly public: string;
  };

  constructor(options: ClusterOptions = {}) {
    this.root = makeScratch('cluster', { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 });
    this.dataDirectory = join(this.root, 'pg data');
    this.archive = options.beside?.archive ?? join(this.root, 'archive');
    this.config = join(this.root, 'walseal.toml');
    this.version = options.version ?? 18;
    const systemId = parseSystemId(options.systemId ?? randomSystemId());
    if (systemId === undefined) throw new Error(`${String(options.systemId)} is not a system identifier`);
    this.systemId = systemId;
    const isCopy = options.beside?.systemId === systemId;
    this.nonce = isCopy ? options.beside.nonce : randomBytes(32);
    mkdirSync(join(this.dataDirectory, 'pg_wal'), { recursive: true });
    mkdirSync(join(this.dataDirectory, 'global'));
    mkdirSync(this.archive, { recursive: true });
    writeFileSync(
      join(this.dataDirectory, 'global', 'pg_control'),
      makeControlFile(this.version, systemId, this.nonce),
    );
    this.keys = options.beside?.keys ?? this.#makeKeys();
    this.settings(options.settings);
  }

  /** Writes the settings file anew. */
  settings(parts: SettingsParts = {}): void {
    const { top = '', archives = [''], encrypted = true, identity = true, signing, fetch } = parts;
    const lines = [top];
    if (!encrypted) lines.push('encryption = "none"');
    for (const archive of archives)
      lines.push('[[archive]]', archive === '' ? `url = "file://${this.archive}"` : archive);
    if (encrypted) lines.push('[encryption]', `recipients = ["${this.keys.recipient}"]`);
    if (encrypted && identity) lines.push(`identity_file = "${this.keys.identity}"`);
    if (signing !== undefined) lines.push('[signing]', signing);
    if (fetch !== undefined) lines.push('[fetch]', fetch);
    writeFileSync(this.config, `${lines.join('\n')}\n`);
  }

  /** Another directory for an archive, in the same scratch. */
  makeArchive(name: string): string {
    const path = join(this.root, name);
    mkdirSync(path);
    return path;
  }

  /** The path of a file in pg_wal, absolute. */
  walPath(name: string): string {
    return join(this.dataDirectory, 'pg_wal', name);
  }

  /** Writes a segment (or a .partial) into pg_wal: right but for what `header` says. The same seed gives the same bytes. */
  segment(
    name: string,
    options: { readonly seed?: string; readonly bytes?: number; readonly header?: Header } = {},
  ): Buffer {
    const content = makeSegment(name, this.version, this.systemId, options);
    writeFileSync(this.walPath(name), content);
    return content;
  }

  /** Writes any file into pg_wal. */
  walFile(name: string, content: string | Uint8Array): Buffer {
    writeFileSync(this.walPath(name), content);
    return Buffer.from(content);
  }

  /** The signal files of a recovery or a standby, and `promote`. */
  signal(...names: SignalFile[]): void {
    for (const name of names) writeFileSync(join(this.dataDirectory, name), '');
  }

  /** postmaster.pid as a server writes it, with this status. */
  postmaster(status: 'ready' | 'stopping' | 'standby'): void {
    const lines = [process.pid, this.dataDirectory, 1_760_000_000, 5432, '/tmp', '*', '  1234  5678', status.padEnd(8)];
    writeFileSync(join(this.dataDirectory, 'postmaster.pid'), `${lines.join('\n')}\n`);
  }

  /** Where a file's object lies in an archive's directory. */
  objectPath(name: string, archive = this.archive): string {
    return join(archive, objectKey(this.systemId, requireName(name)));
  }

  /** Where this content lies when it was set aside. */
  asidePath(name: string, content: Uint8Array, archive = this.archive): string {
    return join(archive, asideKey(this.systemId, requireName(name), this.fingerprint(content)));
  }

  fingerprint(content: Uint8Array): string {
    return fingerprint(createHash('sha256').update(content).digest(), this.nonce);
  }

  /** All objects in an archive's directory, by key. */
  objects(archive = this.archive): string[] {
    if (!existsSync(archive)) return [];
    return readdirSync(archive, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(archive.length + 1))
      .sort();
  }

  /** All files in an archive's directory with a digest of their bytes: two are equal where nothing was touched. */
  state(archive = this.archive): Record<string, string> {
    const digest = (key: string): string =>
      createHash('sha256')
        .update(readFileSync(join(archive, key)))
        .digest('hex');
    return Object.fromEntries(this.objects(archive).map((key) => [key, digest(key)]));
  }

  /** Runs a command as the server does, with an environment of its own. */
  async run(
    command: 'wal-push' | 'wal-fetch' | 'wal-prune' | 'walseal',
    args: readonly string[],
    options: RunOptions = {},
  ): Promise<Ended> {
    return spawnAndWait(join(await programsFor(options), command), args, {
      cwd: options.cwd ?? this.dataDirectory,
      env: { ...BASE_ENVIRONMENT, WALSEAL_CONFIG: this.config, ...options.env },
      ...(options.asServer === true && asUser(serverUser())),
    });
  }

  /** Makes all of it the server user's, for runs `asServer`. */
  giveToServer(): void {
    const { uid, gid } = serverUser();
    chownSync(this.root, uid, gid);
    for (const path of readdirSync(this.root, { recursive: true })) lchownSync(join(this.root, String(path)), uid, gid);
  }

  remove(): void {
    removeScratch(this.root);
  }

  #makeKeys(): TestCluster['keys'] {
    const directory = join(this.root, 'keys');
    mkdirSync(directory);
    const { identity, recipient } = generateIdentity();
    const { privatePem, publicPem } = generateSigningKey();
    const write = (name: string, text: string): string => {
      writeFileSync(join(directory, name), text, { mode: 0o600 });
      return join(directory, name);
    };
    return {
      identity: write('identity.txt', `${identity}\n`),
      recipient,
      signing: write('signing.pem', privatePem),
      public: write('signing.pub.pem', publicPem),
    };
  }
}

async function programsFor({ asServer = false, launcher = 'bin' }: RunOptions): Promise<string> {
  // A copy that every user can reach.
  if (asServer) return (await import('./archiving.ts')).programs();
  return launcher === 'dist' ? builtDist() : join(CHECKOUT, 'bin');
}

/** What a service manager gives a server, with the Node that runs the tests in front. */
const BASE_ENVIRONMENT = {
  PATH: `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`,
  HOME: '/nonexistent',
  LC_ALL: 'C',
};

/** Runs a program with nothing on its input, and waits for its end. */
export function spawnAndWait(
  program: string,
  args: readonly string[],
  options: { cwd: string; env: Readonly<Record<string, string>>; uid?: number; gid?: number },
): Promise<Ended> {
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  return new Promise((resolve, reject) => {
    const limit = setTimeout(() => {
      child.kill('SIGKILL');
      reject(new Error(`${program} ${args.join(' ')} did not end within ${RUN_LIMIT_MS} ms\n${output.stderr}`));
    }, RUN_LIMIT_MS);
    child.once('error', reject);
    child.once('close', (status, signal) => {
      clearTimeout(limit);
      resolve({ status, signal, ...output });
    });
  });
}

export function requireName(text: string): WalName {
  const name = parseWalName(text);
  if (name === undefined) throw new Error(`${text} is not the name of a WAL file`);
  return name;
}

/** global/pg_control of a server of this version, as far as we read it, with its checksum. */
export function makeControlFile(version: Version, systemId: string, nonce: Uint8Array): Buffer {
  const bytes = Buffer.alloc(PAGE_BYTES);
  const isNewest = version >= 18;
  bytes.writeBigUInt64LE(BigInt(systemId), 0);
  bytes.writeUInt32LE(isNewest ? 1800 : version === 17 ? 1700 : 1300, 8);
  bytes.writeUInt32LE(MIB, 228);
  bytes.set(nonce, isNewest ? 257 : 256);
  const crcAt = isNewest ? 292 : 288;
  bytes.writeUInt32LE(crc32c(bytes.subarray(0, crcAt)), crcAt);
  return bytes;
}

/**
 * A segment as a busy server leaves it: a header on each page, records of numbers that count up, words and noise, and
 * a tail of zeros. It compresses to about a third.
 */
function makeSegment(
  name: string,
  version: Version,
  systemId: string,
  options: { readonly seed?: string; readonly bytes?: number; readonly header?: Header } = {},
): Buffer {
  const { seed = name, bytes = MIB, header = {} } = options;
  const parsed = requireName(name);
  const size = toSegmentSize(bytes);
  if (parsed.kind === 'history' || size === undefined) throw new Error(`${name} with ${bytes} bytes is no segment`);
  const address = header.pageAddress ?? segmentStart(parsed, size) ?? 0n;
  const magic = header.magic ?? [...PAGE_MAGIC].find(([, major]) => major === version)?.[0] ?? 0;
  const segment = Buffer.alloc(bytes);
  const noise = createHash('sha256').update(seed).digest();
  for (let page = 0; page < bytes; page += PAGE_BYTES) {
    segment.writeUInt16LE(magic, page);
    segment.writeUInt16LE(page === 0 ? (header.info ?? 2) : 0, page + 2);
    segment.writeUInt32LE(header.timeline ?? parsed.timeline, page + 4);
    segment.writeBigUInt64LE(address + BigInt(page), page + 8);
    if (page < (bytes / 10) * 9) fillPage(segment.subarray(page, page + PAGE_BYTES), page, noise);
  }
  segment.writeBigUInt64LE(BigInt(header.systemId ?? systemId), 24);
  segment.writeUInt32LE(header.segmentSize ?? bytes, 32);
  segment.writeUInt32LE(PAGE_BYTES, 36);
  return segment;
}

/** What all records of all pages have in common: their length, and a text. */
const RECORDS = Buffer.alloc(PAGE_BYTES);
for (let record = 0; record + RECORD_BYTES <= PAGE_BYTES; record += RECORD_BYTES) {
  RECORDS.writeUInt32LE(RECORD_BYTES, record);
  RECORDS.write('customer order', record + 24, 'latin1');
}

function fillPage(page: Buffer, at: number, noise: Buffer): void {
  const start = at === 0 ? LONG_HEADER_BYTES : SHORT_HEADER_BYTES;
  const random = createHash('shake256', { outputLength: page.length / 4 })
    .update(noise)
    .update(String(at))
    .digest();
  const records = Math.floor((page.length - start) / RECORD_BYTES);
  RECORDS.copy(page, start, 0, records * RECORD_BYTES);
  for (let record = start; record + RECORD_BYTES <= page.length; record += RECORD_BYTES) {
    page.writeUInt32LE(at + record, record + 4);
    random.copy(page, record + 8, record / 4, record / 4 + 16);
  }
}

/** Of the time of an initdb in its upper half, as PostgreSQL makes it. */
function randomSystemId(): string {
  return String(
    (BigInt(1_760_000_000 + Math.floor(Math.random() * 1e6)) << 32n) | BigInt(randomBytes(4).readUInt32LE()),
  );
}

/** Removes a file or directory, for tests that take something away. */
export function removePath(path: string): void {
  rmSync(path, { recursive: true, force: true });
}

/** Changes one bit of a file. */
export function flip(path: string, at: number): void {
  const bytes = readFileSync(path);
  bytes[at] = (bytes[at] ?? 0) ^ 0x01;
  writeFileSync(path, bytes);
}
