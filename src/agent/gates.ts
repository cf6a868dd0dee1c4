/** Lets so many in at a time, in the order in which they came. */
export class Gate {
  #width: number;
  #inside = 0;
  readonly #waiting = new Set<() => void>();

  constructor(width: number) {
    this.#width = width;
  }

  /** From now on so many. Those who are inside stay. */
  set width(width: number) {
    this.#width = width;
    this.#admit();
  }

  /** Runs `act` inside. From `urgent` on it goes past all who wait, and is not counted. */
  async through<T>(act: () => Promise<T>, urgent: Promise<unknown>): Promise<T> {
    const admitted = Promise.withResolvers<boolean>();
    const admit = (): void => {
      admitted.resolve(true);
    };
    this.#waiting.add(admit);
    this.#admit();
    const isCounted = await Promise.race([admitted.promise, urgent.then(() => !this.#waiting.delete(admit))]);
    try {
      return await act();
    } finally {
      if (isCounted) {
        this.#inside -= 1;
        this.#admit();
      }
    }
  }

  #admit(): void {
    for (const admit of this.#waiting) {
      if (this.#inside >= this.#width) return;
      this.#waiting.delete(admit);
      this.#inside += 1;
      admit();
    }
  }
}

/** A place in a queue. */
export class Place {
  /** Whether all before it came through. */
  readonly isClear: Promise<boolean>;
  readonly #left = Promise.withResolvers<boolean>();

  constructor(before: Place | undefined) {
    this.isClear = before === undefined ? Promise.resolve(true) : before.#left.promise;
  }

  /** Tells those behind it. The first word counts. */
  leave(cameThrough: boolean): void {
    this.#left.resolve(cameThrough);
  }
}
