import { StorageError } from './errors.ts';

/** The longest that setTimeout can wait; a longer limit is looked at again then. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export interface DeadlineOptions {
  /** How long nothing may arrive: `progress()` starts it anew. */
  readonly idleMs?: number;
  /** Whose deadline it is, as messages name it: "push of 000000010000000000000001". */
  readonly what?: string;
}

/**
 * The time that a piece of work has, kept by timers of our own: what a store's client believes about time-outs never
 * decides. When a limit passes, `signal` aborts, and all that is waited for through `race` and `wait` is rejected,
 * with a StorageError `unreachable` that names the limit. A deadline keeps the process alive only while something
 * is waited for through it.
 */
export class Deadline {
  readonly #controller = new AbortController();
  readonly #waiting = new Set<(error: StorageError) => void>();
  readonly #children = new Set<Deadline>();
  readonly #what: string;
  readonly #idleMs: number;
  #parent: Deadline | undefined;
  #onProgress: (() => void) | undefined;
  #startedAt = performance.now();
  #endsAt: number;
  #idleSince = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #error: StorageError | undefined;
  #closed = false;

  /** Both limits are in milliseconds and start now. */
  constructor(totalMs: number, options: DeadlineOptions = {}) {
    this.#what = options.what ?? 'the work';
    this.#idleMs = options.idleMs ?? Infinity;
    this.#endsAt = this.#startedAt + totalMs;
    this.#arm();
  }

  /**
   * A deadline for a part of the work: it ends with this one at the latest, or alone, by `expire`. Its progress is
   * progress of this one too, and is told to `onProgress`.
   */
  child(onProgress: () => void): Deadline {
    const child = new Deadline(Infinity, { what: this.#what });
    child.#parent = this;
    child.#onProgress = onProgress;
    if (this.#error) child.expire(this.#error);
    else this.#children.add(child);
    return child;
  }

  /** Aborts when a limit passes; its reason is the StorageError. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Something arrived: the idle limit starts anew. */
  progress(): void {
    this.#idleSince = performance.now();
    this.#onProgress?.();
    this.#parent?.progress();
  }

  /** Leaves at most so many milliseconds from now on. It never lengthens. */
  shorten(ms: number): void {
    const now = performance.now();
    if (now + ms >= this.#endsAt) return;
    this.#startedAt = now;
    this.#endsAt = now + ms;
    if (!this.#closed) this.#arm();
  }

  /** Milliseconds until the total limit; 0 when a limit has passed. */
  remainingMs(): number {
    const own = this.#error ? 0 : Math.max(0, this.#endsAt - performance.now());
    return this.#parent ? Math.min(own, this.#parent.remainingMs()) : own;
  }

  /** Settles as `promise` does, or rejects when a limit passes first; then `promise` is left to itself. */
  race<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#error) reject(this.#error);
      else this.#wait(reject);
      promise.then(resolve, reject).finally(() => {
        this.#unwait(reject);
      });
    });
  }

  /** Resolves after `ms`, or rejects when a limit passes first. */
  async wait(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    try {
      await this.race(
        new Promise<void>((resolve) => {
          timer = setTimeout(resolve, ms);
        }),
      );
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends it now, as if a limit had passed, for the reason given. */
  expire(error: StorageError): void {
    if (this.#error) return;
    this.#error = error;
    clearTimeout(this.#timer);
    for (const reject of this.#waiting) reject(error);
    this.#waiting.clear();
    for (const child of this.#children) child.expire(error);
    this.#children.clear();
    this.#controller.abort(error);
  }

  /** Stops the timers: no limit passes any more. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#children.clear();
    if (this.#parent) this.#parent.#children.delete(this);
  }

  #wait(reject: (error: StorageError) => void): void {
    this.#waiting.add(reject);
    this.#timer?.ref();
    if (this.#parent) this.#parent.#wait(reject);
  }

  #unwait(reject: (error: StorageError) => void): void {
    this.#waiting.delete(reject);
    if (this.#waiting.size === 0) this.#timer?.unref();
    if (this.#parent) this.#parent.#unwait(reject);
  }

  /** One timer for both limits. `progress()` only notes the time, so that it costs nothing for each piece of a body. */
  #arm(): void {
    clearTimeout(this.#timer);
    const now = performance.now();
    const nextAt = Math.min(this.#endsAt, this.#idleSince + this.#idleMs);
    if (this.#error || nextAt === Infinity) return;
    if (now >= nextAt) {
      this.expire(this.#passed(now));
      return;
    }
    this.#timer = setTimeout(
      () => {
        this.#arm();
      },
      Math.min(Math.ceil(nextAt - now), LONGEST_TIMER_MS),
    );
    if (this.#waiting.size === 0) this.#timer.unref();
  }

  #passed(now: number): StorageError {
    const fact =
      now >= this.#endsAt
        ? `was not done within ${seconds(this.#endsAt - this.#startedAt)}`
        : `received nothing for ${seconds(this.#idleMs)}`;
    return new StorageError('unreachable', `${this.#what} ${fact}`, { retryable: false, hint: OUT_OF_TIME });
  }
}

const OUT_OF_TIME =
  'Look at the network, a proxy, and the load of the archive. Where it is only slow, a longer deadline in the settings helps.';

/** Milliseconds as messages show them. */
export function seconds(ms: number): string {
  return ms < 1_000 ? `${Math.round(ms)} ms` : `${Math.round(ms / 100) / 10} s`;
}
