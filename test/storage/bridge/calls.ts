import type { Deadline } from '../../../src/storage/deadline.ts';
import type { Body } from '../../../src/storage/storage.ts';
import { Iterators } from './iterators.ts';
import type { Errors, Handlers } from './protocol.ts';
import { errorFromWire } from './values.ts';

interface Pending {
  readonly deadline: Deadline;
  readonly body?: Body;
}

/** The calls that an executable works on, and what it asks of them: the caller's side of the bridge. */
export class PendingCalls {
  readonly #pending = new Map<number, Pending>();
  readonly #iterators = new Iterators();
  /** What sources threw: their callers get the very object back. */
  readonly #thrown = new Map<number, unknown>();
  #count = 0;

  readonly handlers: Handlers = {
    ...this.#iterators.handlers,
    digest: async ({ call, algorithm }) => ({ reply: null, bytes: await this.#bodyOf(call).digest(algorithm) }),
    open: async ({ call }) => ({ reply: { iterator: this.#iterators.holdBytes(this.#bodyOf(call).open()) } }),
    progress: async ({ call }) => {
      this.#pending.get(call)?.deadline.progress();
      return { reply: null };
    },
  };

  readonly errors: Errors = {
    toWire: (error) => {
      this.#count += 1;
      this.#thrown.set(this.#count, error);
      return { type: 'source', number: this.#count };
    },
    fromWire: (error) => (error.type === 'source' ? this.#thrown.get(error.number) : errorFromWire(error)),
  };

  begin(pending: Pending): number {
    this.#count += 1;
    this.#pending.set(this.#count, pending);
    return this.#count;
  }

  end(call: number): void {
    this.#pending.delete(call);
  }

  #bodyOf(call: number): Body {
    const body = this.#pending.get(call)?.body;
    if (body === undefined) throw new Error('a body is asked for after its call');
    return body;
  }
}
