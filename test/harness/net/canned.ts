import { createServer, type IncomingMessage, type Server } from 'node:http';
import { buffer } from 'node:stream/consumers';

import type { Answer, RequestHead } from './http-messages.ts';

/** A request with all of its body. */
export interface AskedRequest extends RequestHead {
  readonly body: Buffer;
}

/** What is answered to each request: one after the other, or as a function says. */
export type Answers = readonly Answer[] | ((request: AskedRequest) => Answer);

/** Starts a server that answers what was recorded elsewhere, and remembers what it was asked. */
export async function startCanned(answers: Answers): Promise<Canned> {
  const canned = new Canned(answers);
  await canned.listen();
  return canned;
}

/** A store that says what it is told to say. One that is asked more often than it knows answers has 500 for it. */
export class Canned {
  readonly requests: AskedRequest[] = [];
  readonly #server: Server;
  readonly #next: (request: AskedRequest) => Answer;

  constructor(answers: Answers) {
    const left = typeof answers === 'function' ? [] : [...answers];
    const none = { status: 500, body: 'no more answers were recorded' };
    this.#next = typeof answers === 'function' ? answers : () => left.shift() ?? none;
    this.#server = createServer((message, response) => {
      const answer = ({ status, headers, body }: Answer): void => {
        const bytes = Buffer.from(body ?? '');
        response.writeHead(status, { 'content-length': String(bytes.length), ...headers });
        response.end(message.method === 'HEAD' ? undefined : bytes);
      };
      // A client that goes away in the middle has asked nothing.
      this.#take(message).then(answer, () => response.destroy());
    });
  }

  get endpoint(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('a server without a port');
    return `http://127.0.0.1:${address.port}`;
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', resolve);
    });
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #take(message: IncomingMessage): Promise<Answer> {
    const body = await buffer(message);
    const headers = Object.fromEntries(Object.entries(message.headers).map(([name, value]) => [name, String(value)]));
    const request = { method: message.method ?? '', path: message.url ?? '', headers, body };
    this.requests.push(request);
    return this.#next(request);
  }
}
