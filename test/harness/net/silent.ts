import { createServer, type Server, type Socket } from 'node:net';

import type { Table } from '../archiving.ts';
import { waitFor } from '../wait.ts';

/** Listens on a port of its own, and answers nothing. */
export async function startSilent(): Promise<SilentStore> {
  const store = new SilentStore();
  await store.listen();
  return store;
}

/** A store that takes every request and never answers: what asks it is at work until it is ended. */
export class SilentStore {
  /** Any will do, since nobody looks at them. */
  readonly env = { AWS_ACCESS_KEY_ID: 'anybody', AWS_SECRET_ACCESS_KEY: 'anything' };
  readonly #sockets = new Set<Socket>();
  readonly #server: Server = createServer((socket) => {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.on('error', () => undefined).resume();
  });

  /** Of the settings file. */
  get archive(): Table & { readonly url: string } {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('a server without a port');
    return {
      url: 's3://bucket/wal',
      region: 'eu-central-1',
      endpoint: `http://127.0.0.1:${address.port}`,
      force_path_style: true,
    };
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', resolve);
    });
  }

  /** Until somebody waits for an answer. */
  async untilAsked(explain: () => string): Promise<void> {
    await waitFor('a request to the silent store', () => this.#sockets.size > 0, 30_000, explain);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
