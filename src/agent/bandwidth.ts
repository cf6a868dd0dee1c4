import type { Deadline } from '../storage/deadline.ts';
import type { Body, ListedObject, ListOptions, ObjectInfo, Storage, StoredObject } from '../storage/storage.ts';

/** Waits between pieces of this size are short even where the limit is low: no store takes them for silence. */
const PIECE_BYTES = 64 * 1024;
/** What may pass at once after a pause: as much as in so long. */
const BURST_MS = 100;

/** The same store, to which all bodies together are sent no faster than so many bytes a second. */
export function withBandwidth(storage: Storage, bytesPerSecond: number): Storage {
  return new PacedStorage(storage, new Bucket(bytesPerSecond));
}

/** Lets bytes pass at a steady rate, in the order in which they are asked for. */
class Bucket {
  readonly #bytesPerMs: number;
  /** When all that was let through so far will have had its time. */
  #busyUntil = 0;

  constructor(bytesPerSecond: number) {
    this.#bytesPerMs = bytesPerSecond / 1_000;
  }

  /** Resolves when so many bytes may pass. Errors: the deadline's. */
  async take(bytes: number, deadline: Deadline): Promise<void> {
    const now = performance.now();
    this.#busyUntil = Math.max(this.#busyUntil, now - BURST_MS) + bytes / this.#bytesPerMs;
    const ms = this.#busyUntil - now;
    if (ms > 0) await deadline.wait(ms);
  }
}

class PacedStorage implements Storage {
  readonly #storage: Storage;
  readonly #bucket: Bucket;

  constructor(storage: Storage, bucket: Bucket) {
    this.#storage = storage;
    this.#bucket = bucket;
  }

  get url(): string {
    return this.#storage.url;
  }

  create(key: string, body: Body, deadline: Deadline): Promise<void> {
    const paced: Body = {
      length: body.length,
      digest: (algorithm) => body.digest(algorithm),
      open: () => this.#pace(body.open(), deadline),
    };
    return this.#storage.create(key, paced, deadline);
  }

  get(key: string, deadline: Deadline): Promise<StoredObject> {
    return this.#storage.get(key, deadline);
  }

  head(key: string, deadline: Deadline): Promise<ObjectInfo> {
    return this.#storage.head(key, deadline);
  }

  list(prefix: string, options: ListOptions, deadline: Deadline): AsyncIterable<readonly ListedObject[]> {
    return this.#storage.list(prefix, options, deadline);
  }

  delete(keys: readonly string[], deadline: Deadline): Promise<void> {
    return this.#storage.delete(keys, deadline);
  }

  close(): void {
    this.#storage.close();
  }

  async *#pace(bytes: AsyncIterable<Uint8Array>, deadline: Deadline): AsyncGenerator<Uint8Array> {
    for await (const all of bytes) {
      for (let at = 0; at < all.length; at += PIECE_BYTES) {
        const piece = all.subarray(at, at + PIECE_BYTES);
        await this.#bucket.take(piece.length, deadline);
        yield piece;
      }
    }
  }
}
