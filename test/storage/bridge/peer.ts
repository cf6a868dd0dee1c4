import type { Socket } from 'node:net';

import { formatFrame, FrameReader, type Frame } from './frames.ts';
import type { Calls, Errors, Handlers, Method, Reply } from './protocol.ts';

type Answer = Frame & { kind: 'answer' };

interface Waiting {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: unknown) => void;
}

export interface PeerOptions {
  /** Why nothing is answered any more. */
  readonly lost: Promise<Error>;
  /** Whether this process may end while it waits for no answer. */
  readonly mayEndIdle: boolean;
}

/** One end of a connection over which both sides ask and answer, any number of calls at once. */
export class Peer {
  readonly #socket: Socket;
  readonly #handlers: Handlers;
  readonly #errors: Errors;
  readonly #waiting = new Map<number, Waiting>();
  readonly #mayEndIdle: boolean;
  #count = 0;
  #failure: Error | undefined;

  constructor(socket: Socket, handlers: Handlers, errors: Errors, { lost, mayEndIdle }: PeerOptions) {
    this.#socket = socket;
    this.#handlers = handlers;
    this.#errors = errors;
    const reader = new FrameReader();
    socket.on('data', (chunk) => {
      for (const frame of reader.push(Buffer.from(chunk))) this.#take(frame);
    });
    // What became of the other side is told by `lost`.
    socket.on('error', () => undefined);
    void lost.then((error) => {
      this.#fail(error);
    });
    if (mayEndIdle) socket.unref();
    this.#mayEndIdle = mayEndIdle;
  }

  /** Asks, and waits for the answer. */
  async ask<M extends Method>(method: M, params: Calls[M]['params']): Promise<Required<Reply<M>>> {
    if (this.#failure) throw this.#failure;
    this.#count += 1;
    const number = this.#count;
    const answered = new Promise<Answer>((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
    });
    this.#socket.ref();
    this.#send({ kind: 'ask', number, method, value: params });
    try {
      const { value, bytes } = await answered;
      return { reply: value as Calls[M]['reply'], bytes };
    } finally {
      this.#waiting.delete(number);
      if (this.#mayEndIdle && this.#waiting.size === 0) this.#socket.unref();
    }
  }

  /** Tells, and does not care. */
  tell<M extends Method>(method: M, params: Calls[M]['params']): void {
    this.ask(method, params).catch(() => undefined);
  }

  #fail(error: Error): void {
    this.#failure = error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }

  #take(frame: Frame): void {
    if (frame.kind === 'ask') {
      void this.#answer(frame);
      return;
    }
    const waiting = this.#waiting.get(frame.number);
    if (frame.kind === 'answer') waiting?.resolve(frame);
    else waiting?.reject(this.#errors.fromWire(frame.error));
  }

  async #answer({ number, method, value }: Frame & { kind: 'ask' }): Promise<void> {
    // The two sides are made of the same sources: what one sends is what the other takes.
    const handler = this.#handlers[method] as ((params: unknown) => Promise<Reply<Method>>) | undefined;
    try {
      if (handler === undefined) throw new Error(`nobody answers to ${method}`);
      const { reply, bytes = Buffer.alloc(0) } = await handler(value);
      this.#send({ kind: 'answer', number, value: reply, bytes: Buffer.from(bytes) });
    } catch (error) {
      this.#send({ kind: 'error', number, error: this.#errors.toWire(error) });
    }
  }

  #send(frame: Frame): void {
    if (!this.#socket.destroyed) this.#socket.write(formatFrame(frame));
  }
}
