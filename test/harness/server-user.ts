import { spawn, spawnSync } from 'node:child_process';
import {
  chownSync,
  copyFileSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';

import { makeScratch } from './scratch.ts';

/** The major versions that are installed as npm packages pg13 to pg18. */
export const VERSIONS = [13, 14, 15, 16, 17, 18] as const;
export type Version = (typeof VERSIONS)[number];

export interface ServerUser {
  readonly uid: number;
  readonly gid: number;
  readonly name: string;
}

let knownUser: ServerUser | undefined;

/** Whom servers run as, since they refuse root: ourselves, else the account postgres, else nobody. */
export function serverUser(): ServerUser {
  knownUser ??= process.getuid?.() === 0 ? unprivilegedUser() : pickUser(userInfo());
  return knownUser;
}

function pickUser({ uid, gid, username }: { uid: number; gid: number; username: string }): ServerUser {
  return { uid, gid, name: username };
}

function unprivilegedUser(): ServerUser {
  const accounts = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'));
  for (const wanted of ['postgres', 'nobody']) {
    const [name, , uid, gid] = accounts.find(([account]) => account === wanted) ?? [];
    if (name !== undefined) return { name, uid: Number(uid), gid: Number(gid) };
  }
  throw new Error('PostgreSQL refuses to run as root, and there is neither an account postgres nor nobody');
}

export interface Ran {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command as the server's user, with an environment of its own, and waits for its end. */
export function runAsServer(
  command: string,
  args: readonly string[],
  options: { cwd?: string; env?: Readonly<Record<string, string>> } = {},
): Promise<Ran> {
  const child = spawn(command, args, {
    cwd: options.cwd ?? '/',
    env: { ...baseEnvironment(), ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...asUser(serverUser()),
  });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => {
      resolve({ status, signal, ...output });
    });
  });
}

/** What a service manager gives a server, and nothing of the developer's own. */
export function baseEnvironment(): Record<string, string> {
  return { PATH: '/usr/local/bin:/usr/bin:/bin', HOME: '/nonexistent', LANG: 'C', LC_ALL: 'C' };
}

export function asUser(user: ServerUser): { uid?: number; gid?: number } {
  return process.getuid?.() === 0 ? { uid: user.uid, gid: user.gid } : {};
}

/** Writes a file that belongs to the server's user. */
export function writeAsServer(path: string, content: string | Uint8Array): void {
  writeFileSync(path, content, { mode: 0o600 });
  chownSync(path, serverUser().uid, serverUser().gid);
}

/** Copies a directory tree for the server's user, as far as `wanted` says; what vanishes meanwhile is left out. */
export function copyAsServer(source: string, target: string, wanted: (path: string) => boolean = () => true): void {
  if (!wanted(source)) return;
  try {
    copyOne(source, target, wanted);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
  }
}

function copyOne(source: string, target: string, wanted: (path: string) => boolean): void {
  const stat = lstatSync(source);
  if (stat.isDirectory()) {
    mkdirSync(target, { mode: stat.mode });
    for (const name of readdirSync(source)) copyAsServer(join(source, name), join(target, name), wanted);
  } else if (stat.isSymbolicLink()) {
    symlinkSync(readlinkSync(source), target);
  } else if (stat.isFile()) {
    copyFileSync(source, target);
  } else {
    return;
  }
  lchownSync(target, serverUser().uid, serverUser().gid);
}

const staged = new Map<Version, string>();

/** The path of a server's program; a copy of the package where the server's user can't reach it. */
export function binary(version: Version, program: 'initdb' | 'pg_ctl' | 'postgres'): string {
  const installed = join(import.meta.dirname, '../../node_modules', `pg${version}`, 'native');
  let directory = staged.get(version);
  if (directory === undefined) {
    directory = isReachable(join(installed, 'bin', 'postgres')) ? installed : stage(version, installed);
    staged.set(version, directory);
  }
  return join(directory, 'bin', program);
}

function isReachable(path: string): boolean {
  return spawnSync('/usr/bin/test', ['-x', path], asUser(serverUser())).status === 0;
}

function stage(version: Version, installed: string): string {
  const copy = join(makeScratch(`programs${version}`, serverUser()), 'native');
  copyAsServer(installed, copy);
  return copy;
}
