import type { ListedObject } from '../../../src/storage/storage.ts';
import type { Peer } from './peer.ts';
import type { Handlers, Reply } from './protocol.ts';
import { objectFromWire, objectToWire } from './values.ts';

type Step = Reply<'next'>;

interface Held {
  readonly next: () => Promise<Step>;
  readonly end: () => Promise<void>;
}

/** What this side iterates for the other one, which pulls every piece: nobody reads ahead. */
export class Iterators {
  readonly #held = new Map<number, Held>();
  #count = 0;

  readonly handlers: Pick<Handlers, 'next' | 'return'> = {
    next: async ({ iterator }) => {
      const step = await this.#held.get(iterator)?.next();
      if (step?.reply.done ?? true) this.#held.delete(iterator);
      return step ?? { reply: { done: true } };
    },
    return: async ({ iterator }) => {
      const held = this.#held.get(iterator);
      this.#held.delete(iterator);
      await held?.end();
      return { reply: null };
    },
  };

  holdBytes(pieces: AsyncIterable<Uint8Array>, atEnd?: () => void): number {
    return this.#hold(pieces, (bytes) => ({ reply: { done: false }, bytes }), atEnd);
  }

  holdPages(pages: AsyncIterable<readonly ListedObject[]>, atEnd?: () => void): number {
    return this.#hold(pages, (page) => ({ reply: { done: false, page: page.map(objectToWire) } }), atEnd);
  }

  #hold<T>(values: AsyncIterable<T>, toStep: (value: T) => Step, atEnd: () => void = () => undefined): number {
    this.#count += 1;
    const iterator = values[Symbol.asyncIterator]();
    const next = async (): Promise<Step> => {
      try {
        const result = await iterator.next();
        if (result.done !== true) return toStep(result.value);
      } catch (error) {
        atEnd();
        throw error;
      }
      atEnd();
      return { reply: { done: true } };
    };
    const end = async (): Promise<void> => {
      await iterator.return?.();
      atEnd();
    };
    this.#held.set(this.#count, { next, end });
    return this.#count;
  }
}

/** The bytes that the other side iterates. */
export function pulledBytes(peer: Peer, iterator: number): AsyncGenerator<Uint8Array, void, undefined> {
  return pulled(peer, iterator, ({ bytes }) => bytes);
}

/** The pages that the other side iterates. */
export function pulledPages(peer: Peer, iterator: number): AsyncGenerator<readonly ListedObject[], void, undefined> {
  return pulled(peer, iterator, ({ reply }) => (reply.page ?? []).map(objectFromWire));
}

async function* pulled<T>(
  peer: Peer,
  iterator: number,
  toValue: (step: Required<Step>) => T,
): AsyncGenerator<T, void, undefined> {
  let isOver = false;
  try {
    for (;;) {
      const step = await peer.ask('next', { iterator }).catch((error: unknown) => {
        isOver = true;
        throw error;
      });
      isOver = step.reply.done;
      if (isOver) return;
      yield toValue(step);
    }
  } finally {
    if (!isOver) await peer.ask('return', { iterator });
  }
}
