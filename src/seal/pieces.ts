/** A stream of bytes of which a head is looked at first, and the rest passed on. */
export class Pieces {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #pending: Uint8Array | undefined;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#iterator = source[Symbol.asyncIterator]();
  }

  /**
   * Takes the head whose length `measure` finds in the bytes so far; undefined means that it needs more. Where the
   * stream ends before, or the head would be longer than `limit` bytes, the answer is undefined.
   */
  async takeHead(limit: number, measure: (bytes: Buffer) => number | undefined): Promise<Buffer | undefined> {
    const first = await this.#next();
    if (first === undefined) return undefined;
    // Mostly it lies in the first piece, the rest of which is not copied then.
    const seen = view(first).subarray(0, limit);
    const length = measure(seen);
    if (length !== undefined && length <= seen.length) {
      this.#push(first.subarray(length));
      return Buffer.from(seen.subarray(0, length));
    }
    this.#push(first);
    return this.#gatherHead(limit, measure);
  }

  async #gatherHead(limit: number, measure: (bytes: Buffer) => number | undefined): Promise<Buffer | undefined> {
    const buffer = Buffer.allocUnsafe(limit);
    let filled = 0;
    for (;;) {
      const length = measure(buffer.subarray(0, filled));
      if (length !== undefined && length <= filled) {
        this.#push(buffer.subarray(length, filled));
        return buffer.subarray(0, length);
      }
      const piece = filled === limit || (length ?? 0) > limit ? undefined : await this.#next();
      if (piece === undefined) return undefined;
      const part = piece.subarray(0, limit - filled);
      buffer.set(part, filled);
      filled += part.length;
      this.#push(piece.subarray(part.length));
    }
  }

  /** All that was not taken. */
  async *rest(): AsyncGenerator<Uint8Array> {
    for (let piece = await this.#next(); piece !== undefined; piece = await this.#next()) yield piece;
  }

  /** Tells the source that nothing more is wanted. What it says to that is of no interest. */
  async close(): Promise<void> {
    await this.#iterator.return?.().catch(() => undefined);
  }

  /** Puts bytes back in front of what is still to come. */
  #push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#pending = this.#pending === undefined ? bytes : Buffer.concat([bytes, this.#pending]);
  }

  async #next(): Promise<Uint8Array | undefined> {
    const pending = this.#pending;
    if (pending !== undefined) {
      this.#pending = undefined;
      return pending;
    }
    const result = await this.#iterator.next();
    return result.done ? undefined : result.value;
  }
}

function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The bytes in front of those of a stream. */
export async function* following(first: Uint8Array, rest: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  yield* rest;
}

/** A stream of pieces that are there already. */
export async function* each(pieces: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

/** A stream whose next piece can be asked for before it is needed. */
export class Prefetched {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #asking: Promise<IteratorResult<Uint8Array>> | undefined;

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#iterator = source[Symbol.asyncIterator]();
  }

  /** Asks for the next piece, unless it was asked for already. An error is kept until `next`. */
  ask(): void {
    if (this.#asking !== undefined) return;
    this.#asking = this.#iterator.next();
    this.#asking.catch(() => undefined);
  }

  async next(): Promise<Uint8Array | undefined> {
    this.ask();
    const asking = this.#asking;
    this.#asking = undefined;
    const result = await asking;
    return result === undefined || result.done ? undefined : result.value;
  }

  /** All that is still to come; closed at the end. */
  async *rest(): AsyncGenerator<Uint8Array> {
    try {
      for (let piece = await this.next(); piece !== undefined; piece = await this.next()) yield piece;
    } finally {
      await this.close();
    }
  }

  /** Tells the source that nothing more is wanted. What it says to that is of no interest. */
  async close(): Promise<void> {
    await this.#iterator.return?.().catch(() => undefined);
  }
}
