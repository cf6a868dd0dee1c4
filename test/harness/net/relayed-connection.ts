import { connect, type Socket } from 'node:net';
import { once } from 'node:events';

import type { Fault, PassedRequest } from './faults.ts';
import {
  formatAnswer,
  RequestReader,
  ResponseReader,
  type RequestHead,
  type RequestPart,
  type ResponsePart,
} from './http-messages.ts';

interface Surroundings {
  readonly target: { readonly host: string; readonly port: number };
  /** Resets the client's connection. */
  readonly reset: () => void;
  /** Notes a request, and says what is to happen to it. */
  readonly begin: (head: RequestHead) => { request: PassedRequest; fault: Fault | undefined };
}

/** A client's connection and the server's, between which one request after the other passes. */
export class RelayedConnection {
  readonly #client: Socket;
  readonly #surroundings: Surroundings;
  #server: Socket | undefined;
  #request: PassedRequest | undefined;
  #fault: Fault | undefined;
  #response = new ResponseReader();
  /** Of the response's body, so far. */
  #responseBytes = 0;
  /** Nothing of the response goes out any more. */
  #isCutOff = false;

  constructor(client: Socket, surroundings: Surroundings) {
    this.#client = client;
    this.#surroundings = surroundings;
  }

  run(): void {
    this.#client.on('close', () => this.#server?.destroy());
    // A client that goes away, or that sends what is no HTTP, has its connection closed: nobody else is concerned.
    this.#readRequests().catch(() => this.#client.destroy());
  }

  async #readRequests(): Promise<void> {
    const reader = new RequestReader();
    for await (const chunk of this.#client) {
      for (const part of reader.push(chunk as Buffer)) await this.#pass(part);
    }
  }

  async #pass(part: RequestPart): Promise<void> {
    if (part.kind === 'head') return this.#begin(part.head, part.raw);
    if (part.kind === 'body') return this.#passBody(part.raw);
    if (this.#request) this.#request.isWhole = true;
    if (this.#fault?.do === 'answer' && !this.#isCutOff) this.#answer(this.#fault);
  }

  async #begin(head: RequestHead, raw: Buffer): Promise<void> {
    const { request, fault } = this.#surroundings.begin(head);
    this.#request = request;
    this.#fault = fault;
    this.#response = new ResponseReader();
    this.#responseBytes = 0;
    if (fault?.do === 'reset') {
      this.#surroundings.reset();
    } else if (fault?.do === 'answer') {
      // Its body is not coming before somebody says that it may.
      if (head.headers['expect'] === undefined) return;
      this.#answer(fault);
      this.#isCutOff = true;
      this.#client.end();
    } else if (fault?.do !== 'silence') {
      if (fault?.do === 'hold') await fault.until;
      await this.#forward(raw);
    }
  }

  async #passBody(raw: Buffer): Promise<void> {
    const request = this.#request;
    const fault = this.#fault;
    if (request === undefined || fault?.do === 'answer' || fault?.do === 'silence') return;
    const before = request.bodyBytes;
    request.bodyBytes += raw.length;
    if (fault?.do === 'damage' && fault.part === 'request') damage(raw, fault.atBodyByte - before);
    if (fault?.do === 'stop-reading' && request.bodyBytes >= fault.afterBodyBytes) {
      await this.#forward(raw.subarray(0, fault.afterBodyBytes - before));
      // As long as the connection is there, and no byte more is asked for.
      await once(this.#client, 'close');
    } else {
      await this.#forward(raw);
    }
  }

  #answer({ answer }: Fault & { do: 'answer' }): void {
    if (this.#request) this.#client.write(formatAnswer(answer, this.#request.method));
  }

  async #forward(raw: Buffer): Promise<void> {
    const server = (this.#server ??= this.#connect());
    if (!server.write(raw)) await once(server, 'drain');
  }

  #connect(): Socket {
    const server = connect(this.#surroundings.target);
    server.on('error', this.#surroundings.reset);
    server.on('end', () => {
      if (!this.#isCutOff) this.#client.end();
    });
    server.on('data', (chunk: Buffer) => {
      for (const part of this.#response.push(chunk)) this.#passBack(part);
    });
    this.#client.on('drain', () => server.resume());
    return server;
  }

  #passBack(part: ResponsePart): void {
    const fault = this.#fault;
    const { raw } = part;
    if (part.kind === 'head' && this.#request) this.#request.status = part.status;
    if (fault?.do === 'lose-response' && part.kind === 'head') {
      this.#isCutOff = true;
      this.#surroundings.reset();
    }
    const before = part.kind === 'body' ? this.#responseBytes : 0;
    if (part.kind === 'body') this.#responseBytes += raw.length;
    if (fault?.do === 'damage' && fault.part === 'response' && part.kind === 'body') {
      damage(raw, fault.atBodyByte - before);
    }
    if (fault?.do !== 'break-response' || fault.part !== part.kind || before + raw.length <= fault.afterBytes) {
      this.#give(raw);
      return;
    }
    this.#give(raw.subarray(0, fault.afterBytes - before));
    this.#isCutOff = true;
    if (fault.by === 'end') this.#client.end();
    // What was given before must arrive: a reset at once could overtake it.
    if (fault.by === 'reset') this.#client.write('', () => this.#surroundings.reset());
  }

  #give(raw: Buffer): void {
    if (this.#isCutOff || this.#client.destroyed) return;
    if (!this.#client.write(raw)) this.#server?.pause();
  }
}

/** Changes one bit of the byte at this place, where it is among these. */
function damage(bytes: Buffer, at: number): void {
  const byte = bytes[at];
  if (byte !== undefined) bytes[at] = byte ^ 1;
}
