import { createServer, type Server, type Socket } from 'node:net';
import { TLSSocket, createSecureContext, type SecureContext } from 'node:tls';

import type { Fault, PassedRequest } from './faults.ts';
import type { RequestHead } from './http-messages.ts';
import { RelayedConnection } from './relayed-connection.ts';

export interface FaultOptions {
  /** Which requests it happens to; else the next ones. */
  readonly when?: (request: RequestHead) => boolean;
  /** How often. Default: once. */
  readonly times?: number;
}

export interface RelayOptions {
  /** The server's endpoint: `http://host:port`, and a path that the relay's own endpoint has as well. */
  readonly target: string;
  /** Speaks TLS to its clients. */
  readonly tls?: { readonly key: string; readonly cert: string };
}

/** Starts a relay in front of a server. Its connections are reset when it is closed. */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const relay = new Relay(options);
  await relay.listen();
  return relay;
}

/** A network between a client and a server: it counts what passes, and loses what it is told to lose. */
export class Relay {
  /** In the order of their heads. */
  readonly requests: PassedRequest[] = [];
  /** How many connections there were. */
  connections = 0;
  readonly #target: URL;
  readonly #context: SecureContext | undefined;
  readonly #faults: { fault: Fault; when: (request: RequestHead) => boolean; times: number }[] = [];
  readonly #open = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;

  constructor({ target, tls }: RelayOptions) {
    this.#target = new URL(target);
    this.#context = tls === undefined ? undefined : createSecureContext({ key: tls.key, cert: tls.cert });
  }

  /** What a client asks in place of the server. */
  get endpoint(): string {
    const path = this.#target.pathname === '/' ? '' : this.#target.pathname;
    return `${this.#context === undefined ? 'http' : 'https'}://127.0.0.1:${this.#port}${path}`;
  }

  /** Does this to the next requests; of several faults that match, the first that was asked for. */
  misbehave(fault: Fault, options: FaultOptions = {}): void {
    this.#faults.push({ fault, when: options.when ?? (() => true), times: options.times ?? 1 });
  }

  /** Does nothing of that any more. */
  behave(): void {
    this.#faults.length = 0;
  }

  /** Refuses connections, and resets those that are there, until `listen`. */
  async refuse(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.#open) socket.resetAndDestroy();
    if (server !== undefined) await new Promise((resolve) => server.close(resolve));
  }

  /** Accepts connections, on the same port as before. */
  async listen(): Promise<void> {
    const server = createServer((socket) => {
      this.#accept(socket);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(this.#port, '127.0.0.1', resolve);
    });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('a relay without a port');
    this.#port = address.port;
    this.#server = server;
  }

  close(): Promise<void> {
    return this.refuse();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #accept(socket: Socket): void {
    this.connections += 1;
    this.#open.add(socket);
    socket.on('close', () => this.#open.delete(socket));
    socket.on('error', () => undefined);
    const secureContext = this.#context;
    const client = secureContext === undefined ? socket : new TLSSocket(socket, { isServer: true, secureContext });
    const connection = this.connections;
    new RelayedConnection(client, {
      target: { host: this.#target.hostname, port: Number(this.#target.port) },
      reset: () => socket.resetAndDestroy(),
      begin: (head) => this.#begin(head, connection),
    }).run();
  }

  #begin(head: RequestHead, connection: number): { request: PassedRequest; fault: Fault | undefined } {
    const planned = this.#faults.find(({ when, times }) => times > 0 && when(head));
    if (planned !== undefined) planned.times -= 1;
    const fault = planned?.fault;
    const request = { ...head, connection, bodyBytes: 0, isWhole: false, status: undefined, fault: fault?.do };
    this.requests.push(request);
    return { request, fault };
  }
}
