import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer, Socket } from 'node:net';
import { join } from 'node:path';

import { compile } from '../../../scripts/build.ts';
import type { ArchiveSettings } from '../../../src/settings/schema.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { CHECKOUT, digestOf, makeOnce, SOURCES } from '../../harness/dist.ts';
import { killWithUs, makeScratch, removeScratch } from '../../harness/scratch.ts';
import { PendingCalls } from './calls.ts';
import { Peer } from './peer.ts';
import { bridgedStorage } from './storage.ts';

const START_LIMIT_MS = 30_000;

export type Environment = Readonly<Record<string, string>>;

/** A process of the bridge's program, compiled as the product is. */
export class Executable {
  readonly calls: PendingCalls;
  readonly peer: Peer;
  readonly #kill: () => void;
  readonly #stderr: () => string;

  private constructor(calls: PendingCalls, peer: Peer, kill: () => void, stderr: () => string) {
    this.calls = calls;
    this.peer = peer;
    this.#kill = kill;
    this.#stderr = stderr;
  }

  /** Starts one, with this environment and nothing else in it. */
  static async start(env: Environment): Promise<Executable> {
    const program = await compiled();
    const directory = makeScratch('bridge', { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 });
    const path = join(directory, 'socket');
    const server = createServer().listen(path);
    await once(server, 'listening');
    const child = spawn(program, [path], { cwd: directory, env: { ...env }, stdio: ['ignore', 'ignore', 'pipe'] });
    const forget = child.pid === undefined ? () => undefined : killWithUs(child.pid);
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    const ended = once(child, 'close').then(([status, signal]) => {
      forget();
      removeScratch(directory);
      return new Error(`the executable ended with ${String(status ?? signal)}: ${stderr}`);
    });
    const signal = AbortSignal.timeout(START_LIMIT_MS);
    const connected = once(server, 'connection', { signal }) as Promise<[Socket]>;
    const first = await Promise.race([connected, ended]);
    server.close();
    if (first instanceof Error) throw first;
    child.unref();
    if (child.stderr instanceof Socket) child.stderr.unref();
    const calls = new PendingCalls();
    const peer = new Peer(first[0], calls.handlers, calls.errors, { lost: ended, mayEndIdle: true });
    return new Executable(
      calls,
      peer,
      () => child.kill('SIGKILL'),
      () => stderr,
    );
  }

  /** What it has printed on standard error, where a server's log would be. */
  stderr(): string {
    return this.#stderr();
  }

  stop(): void {
    this.#kill();
  }
}

/** The program, compiled once for each state of the sources. */
async function compiled(): Promise<string> {
  const directory = join(CHECKOUT, '.cache/bridge');
  const program = join(directory, 'walseal-bridge');
  const sources = [...SOURCES, 'test/storage/bridge'].map((path) => join(CHECKOUT, path));
  await makeOnce(directory, digestOf(sources), () => {
    mkdirSync(directory, { recursive: true });
    compile(CHECKOUT, 'test/storage/bridge/program.ts', program);
  });
  return program;
}

const shared = new Map<string, Promise<Executable>>();

/**
 * The storage of an archive, in the executable: what `connect` is on Node. `env` is its whole environment, with the
 * credentials. Archives with the same environment share a process.
 */
export async function connectInExecutable(archive: ArchiveSettings, env: Environment = {}): Promise<Storage> {
  const key = JSON.stringify(env);
  const executable = shared.get(key) ?? Executable.start(env);
  shared.set(key, executable);
  return bridgedStorage(await executable, archive);
}

/** The same in a process of its own, which ends when the storage is closed. */
export async function connectInOwnExecutable(archive: ArchiveSettings, env: Environment = {}): Promise<Storage> {
  const executable = await Executable.start(env);
  return bridgedStorage(executable, archive, () => {
    executable.stop();
  });
}
