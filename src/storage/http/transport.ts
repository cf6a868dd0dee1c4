import http from 'node:http';
import https from 'node:https';
import { Readable } from 'node:stream';

import { codeOf } from '../../exit.ts';
import { seconds } from '../deadline.ts';
import { StorageError } from '../errors.ts';
import type { Body } from '../storage.ts';
import { openAgents, type Network } from './agents.ts';
import { networkFault } from './faults.ts';
import type { Agents } from './route.ts';

export interface TransportLimits {
  /** A connection that is not made by then will hardly be made at all. */
  readonly connectMs: number;
  /** How long a server may take to say `100 Continue`; one that does not know it gets the body then (RFC 9110, 10.1.1). */
  readonly continueMs: number;
}

const LIMITS: TransportLimits = { connectMs: 5_000, continueMs: 1_000 };

/** Bytes that are held, or a body that is read while it is sent. */
export type RequestBody = Uint8Array | Pick<Body, 'length' | 'open'>;

export interface HttpRequest {
  readonly method: string;
  readonly url: URL;
  /** Content-Length is set from the body. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: RequestBody | undefined;
  /** Ends the request at any moment. */
  readonly signal?: AbortSignal | undefined;
}

export interface HttpResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** Errors: StorageError `unreachable`, also where it ends early. It must be read, or destroyed. */
  readonly body: Readable;
}

/** How often a kept connection may turn out to be closed by the other side before the reset counts. */
const STALE_CONNECTIONS = 3;

/**
 * The one way to an object store: every client library sends through this, so limits, certificates, proxies and errors
 * are the same for all, in every runtime. It follows no redirect, decodes nothing and keeps no cookie. It repeats only what
 * met a kept connection that the server was just closing: a request without a body, before any answer (RFC 9112, 9.3.1).
 */
export class Transport {
  readonly #agents: Agents;
  readonly #limits: TransportLimits;

  constructor(agents: Agents, limits: TransportLimits) {
    this.#agents = agents;
    this.#limits = limits;
  }

  /**
   * Sends one request; resolves with the head of the answer. Errors: StorageError `unreachable` where there is none,
   * `configuration` where a proxy turns us away; the reason of `signal`; what the body's source throws, as it is.
   */
  async send(request: HttpRequest): Promise<HttpResponse> {
    for (let stale = 0; ; stale += 1) {
      const exchange = this.#exchange(request);
      try {
        return await exchange.run();
      } catch (error) {
        if (!exchange.metStaleConnection || stale === STALE_CONNECTIONS) throw error;
      }
    }
  }

  #exchange(request: HttpRequest): Exchange {
    const { url, signal } = request;
    signal?.throwIfAborted();
    const length = request.body?.length;
    const options = {
      method: request.method,
      headers: { ...request.headers, ...(length !== undefined && { 'content-length': String(length) }) },
      ...this.#agents.routeTo(url),
    };
    const outgoing = url.protocol === 'https:' ? https.request(url, options) : http.request(url, options);
    return new Exchange(outgoing, request, this.#limits);
  }

  /** Closes the connections. */
  close(): void {
    this.#agents.close();
  }
}

/** Errors: StorageError `configuration` where the file of authorities can't be read. `limits` are given by tests. */
export async function openTransport(network: Network, limits = LIMITS): Promise<Transport> {
  return new Transport(await openAgents(network), limits);
}

/** One request and its answer. Whatever ends it first destroys the request, and is the error of all that waits. */
class Exchange {
  readonly #outgoing: http.ClientRequest;
  readonly #request: HttpRequest;
  readonly #limits: TransportLimits;
  readonly #answer = Promise.withResolvers<HttpResponse>();
  /** Wakes up the sender: the buffer is drained, or nothing more is wanted. */
  #wake: (() => void) | undefined;
  #isOver = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(outgoing: http.ClientRequest, request: HttpRequest, limits: TransportLimits) {
    this.#outgoing = outgoing;
    this.#request = request;
    this.#limits = limits;
  }

  /** Whether it ended, without an answer, on a connection that had served before: the server may never have seen it. */
  get metStaleConnection(): boolean {
    const code = this.#failure?.error instanceof StorageError ? codeOf(this.#failure.error.cause) : undefined;
    const isReset = code === 'ECONNRESET' || code === 'EPIPE';
    return isReset && this.#outgoing.reusedSocket && this.#request.body === undefined;
  }

  run(): Promise<HttpResponse> {
    const { signal } = this.#request;
    const abort = (): void => {
      this.#fail(signal?.reason);
    };
    signal?.addEventListener('abort', abort, { once: true });
    this.#outgoing
      .on('error', (error) => {
        this.#fail(error);
      })
      .on('close', () => {
        signal?.removeEventListener('abort', abort);
        // An answer or an error has come before, or else neither ever will.
        this.#settle(closed('the connection was closed'));
      })
      .on('drain', () => this.#wake?.())
      .on('response', (response) => {
        this.#respond(response);
      });
    this.#limitConnecting();
    this.#send().catch((error: unknown) => {
      this.#fail(error);
    });
    return this.#answer.promise;
  }

  async #send(): Promise<void> {
    const { body, headers } = this.#request;
    if (body === undefined) {
      this.#outgoing.end();
      return;
    }
    const isAsked = Object.keys(headers).some((name) => name.toLowerCase() === 'expect');
    if (isAsked && !(await this.#mayContinue())) return;
    for await (const piece of body instanceof Uint8Array ? [body] : body.open()) {
      if (this.#isOver) return;
      if (this.#outgoing.write(piece)) continue;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    if (!this.#isOver) this.#outgoing.end();
  }

  /** Whether the body is wanted: false where the answer came first. */
  async #mayContinue(): Promise<boolean> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      const timer = setTimeout(resolve, this.#limits.continueMs);
      this.#outgoing.once('continue', resolve).once('close', () => {
        clearTimeout(timer);
      });
      this.#outgoing.flushHeaders();
    });
    return !this.#isOver;
  }

  #respond(response: http.IncomingMessage): void {
    // The rest of the body is not wanted any more. A connection that is half-way through one can't be used again.
    this.#end();
    const status = response.statusCode ?? 0;
    if (status === 407) {
      this.#fail(
        new StorageError('configuration', 'the proxy demands credentials, or refuses ours', {
          hint: 'HTTPS_PROXY and HTTP_PROXY may hold them: http://user:password@host:port.',
        }),
      );
      return;
    }
    const headers = Object.fromEntries(
      Object.entries(response.headersDistinct).map(([name, values]) => [name, values?.join(', ') ?? '']),
    );
    const body = Readable.from(this.#read(response), { objectMode: false });
    this.#answer.resolve({ status, headers, body });
  }

  async *#read(response: http.IncomingMessage): AsyncGenerator<Buffer, void, undefined> {
    try {
      for await (const piece of response) yield piece as Buffer;
      if (!response.complete) throw closed('the answer was cut off');
    } catch (error) {
      throw this.#failure?.error ?? networkFault(error, this.#request.url.host);
    } finally {
      if (!response.complete || !this.#outgoing.writableFinished) this.#outgoing.destroy();
    }
  }

  #limitConnecting(): void {
    const { host, protocol } = this.#request.url;
    const { connectMs } = this.#limits;
    this.#outgoing.once('socket', (socket) => {
      if (!socket.connecting) return;
      const timer = setTimeout(() => {
        this.#fail(new StorageError('unreachable', `no connection to ${host} within ${seconds(connectMs)}`));
      }, connectMs);
      const stop = (): void => {
        clearTimeout(timer);
      };
      socket.once(protocol === 'https:' ? 'secureConnect' : 'connect', stop).once('close', stop);
    });
  }

  #end(): void {
    this.#isOver = true;
    this.#wake?.();
  }

  #fail(error: unknown): void {
    this.#settle(error);
    this.#outgoing.destroy();
  }

  /** Without a look at the connection, which may serve another request by now. */
  #settle(error: unknown): void {
    this.#failure ??= { error: networkFault(error, this.#request.url.host) };
    this.#end();
    this.#answer.reject(this.#failure.error);
  }
}

function closed(message: string): Error {
  return Object.assign(new Error(message), { code: 'ECONNRESET' });
}
