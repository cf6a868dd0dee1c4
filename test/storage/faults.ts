import { setTimeout as sleep } from 'node:timers/promises';
import type { Deadline } from '../../src/storage/deadline.ts';
import { StorageError } from '../../src/storage/errors.ts';
import type { Body, ListedObject, ListOptions, ObjectInfo, Storage, StoredObject } from '../../src/storage/storage.ts';

/**
 * A store on a bad day. What is built on Storage must survive each of these, in any order:
 *
 * - `refused`: the request fails before it has any effect (retryable `unreachable`)
 * - `throttled`: so does it, and the store asks for a pause
 * - `lost`: the request has its whole effect, and its answer is lost (retryable `unreachable`)
 * - `hang`: the request has no effect and never ends, whatever the deadline's signal says
 * - `late-hang`: the request has its whole effect, and never ends
 * - `cut`: a body or listing breaks off after its first piece or page (retryable `unreachable`); else as `refused`
 * - `stall`: a body or listing never gives its second piece or page; else as `hang`
 * - `slow`: the answer, and every piece, comes some milliseconds late
 *
 * Which calls are hit is random, but the same for the same seed; or it follows a script, one entry for each call.
 */
export class FaultyStorage implements Storage {
  /** What was done: one "verb key: fault" for each call. */
  readonly calls: string[] = [];
  readonly #storage: Storage;
  readonly #nextFault: () => Fault;

  constructor(storage: Storage, faults: SeededFaults | readonly Fault[]) {
    this.#storage = storage;
    this.#nextFault = 'seed' in faults ? seeded(faults) : scripted(faults);
  }

  get url(): string {
    return this.#storage.url;
  }

  create(key: string, body: Body, deadline: Deadline): Promise<void> {
    return this.#call('create', key, () => this.#storage.create(key, body, deadline));
  }

  async get(key: string, deadline: Deadline): Promise<StoredObject> {
    const fault = this.#choose('get', key);
    const open = (): Promise<StoredObject> => this.#storage.get(key, deadline);
    if (fault !== 'cut' && fault !== 'stall' && fault !== 'slow') return suffer(fault, open);
    const object = await open();
    return { info: object.info, bytes: broken(fault, object.bytes) };
  }

  head(key: string, deadline: Deadline): Promise<ObjectInfo> {
    return this.#call('head', key, () => this.#storage.head(key, deadline));
  }

  async *list(
    prefix: string,
    options: ListOptions,
    deadline: Deadline,
  ): AsyncGenerator<readonly ListedObject[], void, undefined> {
    const fault = this.#choose('list', prefix);
    const pages = this.#storage.list(prefix, options, deadline);
    if (fault === 'cut' || fault === 'stall' || fault === 'slow') yield* broken(fault, pages);
    else yield* await suffer(fault, () => Promise.resolve(pages));
  }

  delete(keys: readonly string[], deadline: Deadline): Promise<void> {
    return this.#call('delete', keys.join(' '), () => this.#storage.delete(keys, deadline));
  }

  close(): void {
    this.#storage.close();
  }

  #call<T>(verb: string, key: string, act: () => Promise<T>): Promise<T> {
    return suffer(this.#choose(verb, key), act);
  }

  #choose(verb: string, key: string): Fault {
    const fault = this.#nextFault();
    this.calls.push(`${verb} ${key}: ${fault}`);
    return fault;
  }
}

export const FAULTS = ['refused', 'throttled', 'lost', 'hang', 'late-hang', 'cut', 'stall', 'slow'] as const;
export type Fault = (typeof FAULTS)[number] | 'none';

export interface SeededFaults {
  readonly seed: number;
  /** The part of the calls that is hit, 0 to 1. */
  readonly rate: number;
  /** All, where it is not given. */
  readonly faults?: readonly Fault[];
}

const SLOW_MS = 5;

async function suffer<T>(fault: Fault, act: () => Promise<T>): Promise<T> {
  switch (fault) {
    case 'none':
      return act();
    case 'refused':
    case 'cut':
      throw new StorageError('unreachable', 'injected: connection refused');
    case 'throttled':
      throw new StorageError('throttled', 'injected: slow down', { retryAfterMs: 10 });
    case 'lost':
      await act();
      throw new StorageError('unreachable', 'injected: connection reset');
    case 'hang':
    case 'stall':
      return never();
    case 'late-hang':
      await act();
      return never();
    case 'slow':
      await sleep(SLOW_MS);
      return act();
  }
}

async function* broken<T>(
  fault: 'cut' | 'stall' | 'slow',
  pieces: AsyncIterable<T>,
): AsyncGenerator<T, void, undefined> {
  let count = 0;
  for await (const piece of pieces) {
    count += 1;
    if (fault === 'slow') await sleep(SLOW_MS);
    if (fault === 'cut' && count > 1) break;
    if (fault === 'stall' && count > 1) await never();
    yield piece;
  }
  if (fault === 'cut') throw new StorageError('unreachable', 'injected: the connection broke off');
}

function never<T>(): Promise<T> {
  return new Promise(() => undefined);
}

function scripted(faults: readonly Fault[]): () => Fault {
  const left = [...faults];
  return () => left.shift() ?? 'none';
}

function seeded({ seed, rate, faults = FAULTS }: SeededFaults): () => Fault {
  const random = randomFrom(seed);
  return () => (random() < rate ? (faults[Math.floor(random() * faults.length)] ?? 'none') : 'none');
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
