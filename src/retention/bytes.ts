/** A stream of bytes that is read by counts. What is not wanted is passed over without being kept. */
export class ByteReader {
  readonly #iterator: AsyncIterator<Uint8Array>;
  #piece: Uint8Array = new Uint8Array(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#iterator = source[Symbol.asyncIterator]();
  }

  /** The next bytes: so many, or fewer where the stream ends before. They may be part of what the stream gave. */
  async take(count: number): Promise<Buffer> {
    if (this.#piece.length >= count) return this.#cut(count);
    const taken = Buffer.allocUnsafe(count);
    let filled = 0;
    while (filled < count && (await this.#more())) {
      const part = this.#cut(count - filled);
      taken.set(part, filled);
      filled += part.length;
    }
    return taken.subarray(0, filled);
  }

  /** Passes over the next bytes; whether there were so many. */
  async skip(count: number): Promise<boolean> {
    let left = count;
    while (left > 0 && (await this.#more())) left -= this.#cut(left).length;
    return left === 0;
  }

  /** Tells the source that nothing more is wanted. What it says to that is of no interest. */
  async close(): Promise<void> {
    await this.#iterator.return?.().catch(() => undefined);
  }

  async #more(): Promise<boolean> {
    while (this.#piece.length === 0) {
      const result = await this.#iterator.next();
      if (result.done === true) return false;
      this.#piece = result.value;
    }
    return true;
  }

  #cut(count: number): Buffer {
    const part = this.#piece.subarray(0, count);
    this.#piece = this.#piece.subarray(count);
    return Buffer.from(part.buffer, part.byteOffset, part.byteLength);
  }
}
