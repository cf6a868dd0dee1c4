import { once } from 'node:events';
import { lstatSync, renameSync, rmSync, statSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';

import { Failure } from '../exit.ts';
import { AT_WORK, parseRequest, REQUEST_MAX_BYTES, SIGN_OF_LIFE_MS, type Answer, type Request } from './message.ts';

/** How long a socket that is there may take to show whether somebody listens. */
const CONNECT_MS = 1_000;
const OURS_ALONE = 0o177;

/** Answers one request. What it throws, but for a Failure, is a bug: the connection is cut, and who asked works alone. */
export type Handle = (request: Request) => Promise<Answer>;

/** Listens on a Unix socket, and answers one request a connection. */
export class AgentServer {
  readonly #path: string;
  readonly #handle: Handle;
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  #inode: bigint | undefined;

  constructor(path: string, handle: Handle) {
    this.#path = path;
    this.#handle = handle;
    this.#server = createServer((socket) => {
      this.#serve(socket);
    });
  }

  /** Whether it listens now; false where another agent does already. Errors: those of the system, and
   * Failure `unwritable` where something else has the name. */
  async listen(): Promise<boolean> {
    const there = lstatSync(this.#path, { throwIfNoEntry: false });
    if (there !== undefined && !there.isSocket()) throw occupied(this.#path);
    if (await isListening(this.#path)) return false;
    // Bound elsewhere first: a socket that nobody listens on is replaced at once, and none of ours is ever taken away.
    const temporary = `${this.#path}.${process.pid}`;
    rmSync(temporary, { force: true });
    const umask = process.umask(OURS_ALONE);
    try {
      await new Promise<void>((resolve, reject) => {
        this.#server.once('error', reject).listen(temporary, resolve);
      });
    } finally {
      process.umask(umask);
    }
    this.#inode = inodeOf(temporary);
    renameSync(temporary, this.#path);
    return true;
  }

  /** Whether it is our socket that requests come to: of two agents that start at once, the last one stays. */
  isReached(): boolean {
    return this.#inode !== undefined && inodeOf(this.#path) === this.#inode;
  }

  /** Takes no more requests: who asks next finds no agent, and may start another one. What is under way goes on. */
  leave(): void {
    if (this.isReached()) rmSync(this.#path, { force: true });
  }

  /** Until everybody has his answer, or so many milliseconds have passed. */
  async settled(ms: number): Promise<void> {
    const closed = [...this.#open].map((socket) => once(socket, 'close'));
    await Promise.race([Promise.all(closed), wait(ms)]);
  }

  /** Cuts all connections, and removes the socket. */
  close(): void {
    this.leave();
    this.#server.close();
    for (const socket of this.#open) socket.destroy();
  }

  #serve(socket: Socket): void {
    this.#open.add(socket);
    let text = '';
    let isAsked = false;
    socket
      .setEncoding('utf8')
      // Whoever asked is gone: what was begun for him is not lost, as he asks again.
      .on('error', () => socket.destroy())
      .on('close', () => this.#open.delete(socket))
      .on('data', (piece: string) => {
        text += piece;
        if (text.length > REQUEST_MAX_BYTES) socket.destroy();
        if (isAsked || !text.includes('\n')) return;
        isAsked = true;
        void this.#answer(socket, text.slice(0, text.indexOf('\n')));
      });
  }

  async #answer(socket: Socket, line: string): Promise<void> {
    const say = (text: string): void => {
      if (!socket.destroyed) socket.write(`${text}\n`);
    };
    say(AT_WORK);
    const signs = setInterval(say, SIGN_OF_LIFE_MS, AT_WORK);
    try {
      const request = understand(line);
      if (request === undefined) {
        socket.destroy();
        return;
      }
      const answer = await this.#handle(request);
      say(JSON.stringify(answer));
      socket.end();
    } catch (error) {
      process.stderr.write(`bug: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
      socket.destroy();
    } finally {
      clearInterval(signs);
    }
  }
}

/** Undefined for what is no request. The parser's message would quote the line, which holds credentials. */
function understand(line: string): Request | undefined {
  try {
    return parseRequest(line);
  } catch {
    process.stderr.write('what came is no request\n');
    return undefined;
  }
}

function occupied(path: string): Failure {
  return new Failure('unwritable', `${path} is there, and is no socket`, {
    hint: 'Name another place as socket in [agent].',
  });
}

function inodeOf(path: string): bigint | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino;
}

function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const settle = (is: boolean): void => {
      socket.destroy();
      resolve(is);
    };
    socket.setTimeout(CONNECT_MS, () => {
      settle(true);
    });
    socket.once('connect', () => {
      settle(true);
    });
    socket.once('error', () => {
      settle(false);
    });
  });
}
