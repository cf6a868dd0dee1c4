import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { freePort } from '../ports.ts';
import { killWithUs, makeScratchInMemory, removeScratch } from '../scratch.ts';
import { waitFor } from '../wait.ts';

/** What every test store offers, so that the tests of one look like those of another. */
export interface Store {
  readonly server: StoreServer;
  /** Where it is asked: an `http://` URL without a slash at the end. */
  readonly endpoint: string;
  /** What is in a bucket (a container) by another way than the one under test. */
  readonly eye: Eye;
}

/** The independent eye: it sees a bucket as the store's own protocol shows it, and knows nothing of walseal's code. */
export interface Eye {
  put(bucket: string, key: string, bytes: Uint8Array): Promise<void>;
  read(bucket: string, key: string): Promise<Buffer>;
  /** All keys with this prefix, sorted as JavaScript sorts. */
  keys(bucket: string, prefix?: string): Promise<string[]>;
  remove(bucket: string, key: string): Promise<void>;
}

/** How a server is started, once its port is known. */
export interface Launch {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

const START_LIMIT_MS = 60_000;
const ANSWER_LIMIT_MS = 2_000;
/** Somebody else may take the port between our look and the server's. */
const STARTS = 3;

/** A store's server on a loopback port, with a directory in memory. It ends with this process at the latest. */
export class StoreServer {
  readonly name: string;
  readonly port: number;
  pid = 0;
  readonly #directory: string;
  readonly #launch: Launch;
  #exited: Promise<void> = Promise.resolve();
  #hasEnded = false;

  private constructor(name: string, port: number, directory: string, launch: Launch) {
    this.name = name;
    this.port = port;
    this.#directory = directory;
    this.#launch = launch;
    this.#spawn();
  }

  #spawn(): void {
    const { command, args, env } = this.#launch;
    this.#hasEnded = false;
    const log = openSync(this.#logPath, 'a');
    // Nothing of the developer's environment reaches it: such servers read many variables.
    const environment = { PATH: process.env['PATH'] ?? '', HOME: this.#directory, ...env };
    const child = spawn(command, args, {
      cwd: this.#directory,
      env: environment,
      stdio: ['ignore', log, log],
      detached: true,
    });
    closeSync(log);
    this.pid = child.pid ?? 0;
    // A forgotten server must not keep a process waiting: the watchdog ends it.
    child.unref();
    const forget = child.pid === undefined ? () => undefined : killWithUs(child.pid);
    this.#exited = new Promise((resolve) => {
      const end = (): void => {
        this.#hasEnded = true;
        forget();
        resolve();
      };
      child.once('error', end);
      child.once('exit', end);
    });
  }

  /** Starts it and waits until `path` is answered with success. */
  static async start(
    name: string,
    path: string,
    launch: (port: number, directory: string) => Launch,
  ): Promise<StoreServer> {
    let log = '';
    for (let attempt = 1; attempt <= STARTS; attempt += 1) {
      const port = await freePort();
      const directory = makeScratchInMemory(name);
      const server = new StoreServer(name, port, directory, launch(port, directory));
      if (await server.#answers(path)) return server;
      log = server.log();
      await server.stop();
    }
    throw new Error(`${name} does not start:\n${log}`);
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** All that it has written so far. */
  log(): string {
    return existsSync(this.#logPath) ? readFileSync(this.#logPath, 'utf8') : '';
  }

  /** Ends it in the middle of whatever it does. What it held stays. */
  async kill(): Promise<void> {
    if (!this.#hasEnded) process.kill(this.pid, 'SIGKILL');
    await this.#exited;
  }

  /** Starts it again after `kill`, and waits until `path` is answered with success. */
  async revive(path: string): Promise<void> {
    this.#spawn();
    if (!(await this.#answers(path))) throw new Error(`${this.name} does not start again:\n${this.log()}`);
  }

  /** Kills it and removes what it held: nothing of that is worth a tidy end. */
  async stop(): Promise<void> {
    await this.kill();
    removeScratch(this.#directory);
  }

  get #logPath(): string {
    return join(this.#directory, 'server.log');
  }

  /** False where it has ended instead. */
  async #answers(path: string): Promise<boolean> {
    const isAnswered = (): Promise<boolean> =>
      fetch(`${this.endpoint}${path}`, { signal: AbortSignal.timeout(ANSWER_LIMIT_MS) }).then(
        async (response) => {
          await response.body?.cancel();
          return response.status < 500;
        },
        () => false,
      );
    await waitFor(
      `an answer of ${this.name}`,
      async () => this.#hasEnded || (await isAnswered()),
      START_LIMIT_MS,
      () => this.log(),
    );
    return !this.#hasEnded;
  }
}

/** What `make` gives at the first call: a server that all tests of this process share. */
export function shared<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => (made ??= make());
}

let names = 0;

/** A name that no other bucket, container or user of this process has. */
export function newName(purpose: string): string {
  names += 1;
  return `${purpose}-${process.pid}-${names}`;
}

/** Puts many small objects, some at a time. */
export async function fillBucket(eye: Eye, bucket: string, keys: readonly string[]): Promise<void> {
  const left = keys.values();
  const bytes = Buffer.from('x');
  const work = async (): Promise<void> => {
    for (const key of left) await eye.put(bucket, key, bytes);
  };
  await Promise.all(Array.from({ length: FILLERS }, work));
}

const FILLERS = 16;
