import { seconds, type Deadline } from './deadline.ts';
import { StorageError } from './errors.ts';
import type { Body, ListedObject, ListOptions, ObjectInfo, Storage, StoredObject } from './storage.ts';

/** A moment: nobody must wait long for a backend that will never answer. */
const CLEAN_UP_MS = 500;
/** What a body adds to an attempt's time, since a backend may take it whole and be silent while it sends: 1 MB/s. */
const MS_PER_BODY_BYTE = 1_000 / 1_000_000;

export interface Limits {
  /**
   * How long one attempt may be silent before it is given up, as a retryable `unreachable`. For backends where a
   * new request may get through when the old one hangs. Without it only the deadline counts.
   */
  readonly attemptMs?: number;
  /** How long a create that was cut off may take to remove what it has written. Default: half a second. */
  readonly cleanUpMs?: number;
}

/**
 * Holds every answer of `storage`, and every piece of its bodies and listings, against the deadline. A backend that
 * ignores the deadline's signal (a hung NFS server, a client's bug) is left to itself; it never holds the caller.
 * Each answer and each piece counts as progress. A body that gives more or fewer bytes than it announced is refused
 * before its end reaches the backend. What is thrown passes as it is.
 */
export function withLimits(storage: Storage, limits: Limits = {}): Storage {
  return new LimitedStorage(storage, limits);
}

class LimitedStorage implements Storage {
  readonly #storage: Storage;
  readonly #attemptMs: number;
  readonly #cleanUpMs: number;

  constructor(storage: Storage, { attemptMs = Infinity, cleanUpMs = CLEAN_UP_MS }: Limits) {
    this.#storage = storage;
    this.#attemptMs = attemptMs;
    this.#cleanUpMs = cleanUpMs;
  }

  get url(): string {
    return this.#storage.url;
  }

  async create(key: string, body: Body, deadline: Deadline): Promise<void> {
    const silenceMs = this.#attemptMs + body.length * MS_PER_BODY_BYTE;
    const attempt = new Attempt(deadline, silenceMs, `create of ${this.url}/${key}`);
    const watched = new WatchedBody(body, attempt.deadline);
    let creating: Promise<void> | undefined;
    try {
      await attempt.sole(() => (creating = this.#storage.create(key, watched, attempt.deadline)));
    } catch (error) {
      // The process may end now: a backend that was cut off gets a moment to remove what it has written.
      if (creating !== undefined) await settledWithin(creating, this.#cleanUpMs);
      // A client may wrap what the body threw; the caller knows only the original.
      throw watched.failure === undefined ? error : watched.failure.error;
    }
  }

  async get(key: string, deadline: Deadline): Promise<StoredObject> {
    const attempt = this.#attempt('get', key, deadline);
    const object = await attempt.orEnd(() => this.#storage.get(key, attempt.deadline));
    return { info: object.info, bytes: attempt.each(() => object.bytes) };
  }

  async head(key: string, deadline: Deadline): Promise<ObjectInfo> {
    const attempt = this.#attempt('head', key, deadline);
    return attempt.sole(() => this.#storage.head(key, attempt.deadline));
  }

  list(prefix: string, options: ListOptions, deadline: Deadline): AsyncIterable<readonly ListedObject[]> {
    const attempt = this.#attempt('list', prefix, deadline);
    return attempt.each(() => this.#storage.list(prefix, options, attempt.deadline));
  }

  async delete(keys: readonly string[], deadline: Deadline): Promise<void> {
    const attempt = this.#attempt('delete', keys[0] ?? '', deadline);
    await attempt.sole(() => this.#storage.delete(keys, attempt.deadline));
  }

  close(): void {
    this.#storage.close();
  }

  #attempt(verb: string, key: string, deadline: Deadline): Attempt {
    return new Attempt(deadline, this.#attemptMs, `${verb} of ${this.url}/${key}`);
  }
}

/** Waits until the promise is settled, in whatever way, and no longer than this. */
async function settledWithin(promise: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([promise.catch(() => undefined), limit]);
  clearTimeout(timer);
}

/** One call of the backend. The clock of its silence runs only while something is waited for. */
class Attempt {
  readonly deadline: Deadline;
  readonly #silenceMs: number;
  readonly #what: string;
  #silence: NodeJS.Timeout | undefined;
  #stepping = false;

  constructor(deadline: Deadline, silenceMs: number, what: string) {
    this.deadline = deadline.child(() => {
      if (this.#stepping) this.#listen();
    });
    this.#silenceMs = silenceMs;
    this.#what = what;
  }

  /** The attempt's only step. */
  async sole<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await this.#step(call);
    } finally {
      this.deadline.close();
    }
  }

  /** A step that others follow, unless it fails. */
  async orEnd<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await this.#step(call);
    } catch (error) {
      this.deadline.close();
      throw error;
    }
  }

  /** Every piece is a step; then the attempt is over. */
  async *each<T>(open: () => AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
    let iterator: AsyncIterator<T> | undefined;
    let over = false;
    try {
      const opened = open()[Symbol.asyncIterator]();
      iterator = opened;
      for (;;) {
        const result = await this.#step(() => opened.next());
        if (result.done === true) break;
        yield result.value;
      }
      over = true;
    } finally {
      // The backend releases what it holds. A hung one does so when it wakes up: its turn comes after its hung step.
      if (!over) iterator?.return?.().catch(() => undefined);
      this.deadline.close();
    }
  }

  async #step<T>(call: () => Promise<T>): Promise<T> {
    this.#stepping = true;
    this.#listen();
    try {
      // Not called at all where the time is up already.
      const result = await this.deadline.race(
        this.deadline.signal.aborted ? new Promise<never>(() => undefined) : call(),
      );
      this.deadline.progress();
      return result;
    } finally {
      this.#stepping = false;
      clearTimeout(this.#silence);
    }
  }

  #listen(): void {
    clearTimeout(this.#silence);
    if (this.#silenceMs === Infinity) return;
    this.#silence = setTimeout(() => {
      const fact = `${this.#what} had no answer for ${seconds(this.#silenceMs)}`;
      this.deadline.expire(new StorageError('unreachable', fact, { retryable: true }));
    }, this.#silenceMs);
  }
}

/** Counts the bytes of a body and notes what its source throws. */
class WatchedBody implements Body {
  readonly #body: Body;
  readonly #deadline: Deadline;
  /** What the source threw, or what was wrong with it: whatever the backend makes of it, this is the reason. */
  failure: { readonly error: unknown } | undefined;

  constructor(body: Body, deadline: Deadline) {
    this.#body = body;
    this.#deadline = deadline;
  }

  get length(): number {
    return this.#body.length;
  }

  digest(algorithm: Parameters<Body['digest']>[0]): Promise<Uint8Array> {
    return this.#body.digest(algorithm);
  }

  async *open(): AsyncGenerator<Uint8Array, void, undefined> {
    this.failure = undefined;
    try {
      let given = 0;
      let held: Uint8Array | undefined;
      for await (const piece of this.#body.open()) {
        given += piece.length;
        if (given > this.length) throw this.#wrong(`at least ${given}`);
        this.#deadline.progress();
        // The last piece is what makes a request complete, so it goes out when the count is known to be right.
        if (held !== undefined) yield held;
        held = piece;
      }
      if (given < this.length) throw this.#wrong(String(given));
      if (held !== undefined) yield held;
    } catch (error) {
      this.failure = { error };
      throw error;
    }
  }

  #wrong(given: string): Error {
    return new Error(`a body of ${this.length} bytes was announced, and ${given} were given`);
  }
}
