import type { Deadline } from './deadline.ts';
import { StorageError } from './errors.ts';
import type { Body, ListedObject, ListOptions, ObjectInfo, Storage, StoredObject } from './storage.ts';

export interface RetryOptions {
  /** How often it is tried in all. */
  readonly attempts?: number;
  /** The longest first pause; the next ones double. */
  readonly baseMs?: number;
  /** No pause is longer, unless the store asks for it. */
  readonly capMs?: number;
  /** 0 to 1; given by tests. */
  readonly random?: () => number;
  /** Resolves after so many milliseconds; given by tests. */
  readonly wait?: (ms: number) => Promise<void>;
}

const ATTEMPTS = 10;
const BASE_MS = 100;
const CAP_MS = 5_000;

/**
 * Repeats `attempt` while it fails with a retryable StorageError, after pauses of a random part (all of it: many
 * hosts must not come back at the same moment) of a limit that doubles, or as long as the store asked for. It ends
 * after the last attempt, or where the deadline leaves no time for the pause. The error of the last attempt is
 * thrown, says how many there were, and is not retryable any more: a retry around this one does not multiply them.
 * Anything else that is thrown passes as it is.
 */
export async function retrying<T>(
  attempt: () => Promise<T>,
  deadline: Deadline,
  options: RetryOptions = {},
): Promise<T> {
  const { attempts = ATTEMPTS, wait = (ms: number) => deadline.wait(ms) } = options;
  let last: StorageError | undefined;
  for (let count = 1; ; count += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof StorageError)) throw error;
      if (!error.retryable) throw deadline.signal.aborted ? outOfTime(error, last, count) : error;
      last = error;
    }
    if (count >= attempts) throw givenUp(last, count, '');
    const pause = pauseMs(count, last, options);
    if (pause >= deadline.remainingMs()) throw givenUp(last, count, ', and no time for another');
    await wait(pause).catch((error: unknown) => {
      throw error instanceof StorageError ? outOfTime(error, last, count) : error;
    });
  }
}

function pauseMs(count: number, error: StorageError, options: RetryOptions): number {
  const { baseMs = BASE_MS, capMs = CAP_MS, random = Math.random } = options;
  return Math.max(error.retryAfterMs ?? 0, random() * Math.min(capMs, baseMs * 2 ** (count - 1)));
}

function givenUp(error: StorageError, count: number, why: string): StorageError {
  const tries = count === 1 ? '1 attempt' : `${count} attempts`;
  const { kind, message, hint } = error;
  return new StorageError(kind, `${message} (${tries}${why})`, { cause: error, hint, retryable: false });
}

/** The limit that passed says when; the store's last error says why. */
function outOfTime(passed: StorageError, last: StorageError | undefined, count: number): StorageError {
  if (last === undefined) return passed;
  const message = `${passed.message}; ${count} attempts, and one ended with: ${last.message}`;
  return new StorageError(passed.kind, message, { cause: passed, hint: last.hint, retryable: false });
}

/**
 * Repeats what fails for a passing reason.
 * - `create` too: when only the answer was lost, the next attempt ends with `exists`, and the caller finds out by
 *   looking whether the object is its own.
 * - `get` and `list` only until the first piece or page was handed over; the caller begins anew if it can.
 */
export function withRetry(storage: Storage, options: RetryOptions = {}): Storage {
  return new RetryingStorage(storage, options);
}

/**
 * One page of a listing. The first is left to `withRetry`, which can begin the listing anew; a later one is asked for again
 * here, as the store is told where to go on.
 */
export function retryingPage<T>(isFirst: boolean, ask: () => Promise<T>, deadline: Deadline): Promise<T> {
  return isFirst ? ask() : retrying(ask, deadline);
}

class RetryingStorage implements Storage {
  readonly #storage: Storage;
  readonly #options: RetryOptions;

  constructor(storage: Storage, options: RetryOptions) {
    this.#storage = storage;
    this.#options = options;
  }

  get url(): string {
    return this.#storage.url;
  }

  create(key: string, body: Body, deadline: Deadline): Promise<void> {
    return retrying(() => this.#storage.create(key, body, deadline), deadline, this.#options);
  }

  async get(key: string, deadline: Deadline): Promise<StoredObject> {
    const open = (): Promise<StoredObject> => this.#storage.get(key, deadline);
    const object = await retrying(open, deadline, this.#options);
    let opened: StoredObject | undefined = object;
    const bytes = beginning(
      async () => {
        const { bytes } = opened ?? (await open());
        opened = undefined;
        return bytes;
      },
      deadline,
      this.#options,
    );
    return { info: object.info, bytes };
  }

  head(key: string, deadline: Deadline): Promise<ObjectInfo> {
    return retrying(() => this.#storage.head(key, deadline), deadline, this.#options);
  }

  list(prefix: string, options: ListOptions, deadline: Deadline): AsyncIterable<readonly ListedObject[]> {
    return beginning(() => Promise.resolve(this.#storage.list(prefix, options, deadline)), deadline, this.#options);
  }

  delete(keys: readonly string[], deadline: Deadline): Promise<void> {
    return retrying(() => this.#storage.delete(keys, deadline), deadline, this.#options);
  }

  close(): void {
    this.#storage.close();
  }
}

/** What `open` gives, opened again as long as its first step fails. */
async function* beginning<T>(
  open: () => Promise<AsyncIterable<T>>,
  deadline: Deadline,
  options: RetryOptions,
): AsyncGenerator<T, void, undefined> {
  const begin = async (): Promise<{ iterator: AsyncIterator<T>; first: IteratorResult<T> }> => {
    const iterator = (await open())[Symbol.asyncIterator]();
    return { iterator, first: await iterator.next() };
  };
  const { iterator, first } = await retrying(begin, deadline, options);
  let result = first;
  try {
    while (result.done !== true) {
      yield result.value;
      result = await iterator.next();
    }
  } finally {
    if (result.done !== true) await iterator.return?.();
  }
}
