import type { Readable } from 'node:stream';

import type { Deadline } from '../deadline.ts';
import { storageErrorWithin } from '../errors.ts';
import type { Body } from '../storage.ts';
import { answerFault, cutOff, notAzure } from './errors.ts';
import type { Answer, Question } from './question.ts';

/** The one status that each verb's success has (REST API: Put Blob, Get Blob, Get Blob Properties, List Blobs, Delete Blob). */
const SUCCESS: Readonly<Record<Question['verb'], number>> = {
  create: 201,
  get: 200,
  head: 200,
  list: 200,
  delete: 202,
};
/** Without these no answer to the verb is Azure's. */
const HEADERS: Readonly<Record<Question['verb'], readonly string[]>> = {
  create: ['x-ms-request-id', 'etag'],
  get: ['x-ms-request-id', 'etag', 'last-modified', 'content-length'],
  head: ['x-ms-request-id', 'etag', 'last-modified', 'content-length'],
  list: ['x-ms-request-id'],
  delete: ['x-ms-request-id'],
};

const CALLS = new WeakMap<object, Call>();

/**
 * One request by way of the SDK. The SDK hands its signal down to where the request is sent, so that the two ends find
 * each other there: the body goes down without the SDK's wrapping, and what happened comes back as it was.
 */
export class Call {
  readonly question: Question;
  readonly body: Body | undefined;
  answer: Answer | undefined;
  #failure: { readonly error: unknown } | undefined;
  readonly #controller = new AbortController();
  readonly #deadline: AbortSignal;
  readonly #abort = (): void => {
    this.#controller.abort(this.#deadline.reason);
  };

  constructor(question: Question, deadline: Deadline, body?: Body) {
    this.question = question;
    this.body = body;
    this.#deadline = deadline.signal;
    if (this.#deadline.aborted) this.#abort();
    else this.#deadline.addEventListener('abort', this.#abort, { once: true });
    CALLS.set(this.signal, this);
  }

  static of(signal: object | undefined): Call {
    const call = signal && CALLS.get(signal);
    if (call === undefined) throw new Error('the SDK sends a request that nobody has asked for');
    return call;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Asks, with an SDK's method. Errors: StorageErrors, and what the body's source throws. */
  async ask<T>(send: (abortSignal: AbortSignal) => Promise<T>): Promise<T> {
    try {
      this.signal.throwIfAborted();
      return await send(this.signal);
    } catch (error) {
      throw this.fault(error);
    }
  }

  /** The call is over: the deadline needs to know it no more. */
  close(): void {
    this.#deadline.removeEventListener('abort', this.#abort);
  }

  /** Notes an answer. Errors: StorageError `unreachable` where it claims success and is none of Azure's. */
  hear(answer: Answer): void {
    this.answer = answer;
    const { verb } = this.question;
    const isError = answer.status >= 400;
    const isWhole =
      answer.status === SUCCESS[verb] && HEADERS[verb].every((name) => answer.headers[name] !== undefined);
    if (!isError && !isWhole) throw notAzure(this.question, answer);
  }

  /** Notes what the way to Azure, or the body's source, ended with. */
  fail(error: unknown): void {
    this.#failure ??= { error };
  }

  /** Watches a body that is handed on: the SDK knows only that it ended. */
  watch(body: Readable): void {
    body.once('error', (error) => {
      this.fail(error);
    });
  }

  /** What a body stands for that ended too early, or too late. */
  brokenOff(error: unknown): unknown {
    const inner = this.#failure?.error ?? storageErrorWithin(error);
    return inner ?? cutOff(this.question, error);
  }

  /** What an error of the SDK's means. One that stands for nothing that was asked or answered is a bug, and stays. */
  fault(error: unknown): unknown {
    if (this.#failure !== undefined) return this.#failure.error;
    const inner = storageErrorWithin(error);
    if (inner !== undefined) return inner;
    if (this.answer === undefined) return error;
    return this.answer.status >= 400 ? answerFault(this.question, this.answer) : notAzure(this.question, this.answer);
  }
}
