import type { Deadline } from '../../src/storage/deadline.ts';
import { StorageError } from '../../src/storage/errors.ts';
import { compareKeys } from '../../src/storage/order.ts';
import type { Body, ListedObject, ListOptions, ObjectInfo, Storage, StoredObject } from '../../src/storage/storage.ts';
import { collect } from './bodies.ts';

/** The contract of Storage in its shortest form: what the other tests put faults in, and compare with. */
export class MemoryStorage implements Storage {
  readonly url = 'memory://test';
  readonly objects = new Map<string, { bytes: Buffer; modified: Date }>();
  readonly pieceSize: number;
  /** The bucket is gone, or was never there. */
  missing = false;

  constructor(pieceSize = 1024 * 1024) {
    this.pieceSize = pieceSize;
  }

  async create(key: string, body: Body, deadline: Deadline): Promise<void> {
    this.#requirePlace();
    const bytes = await collect(body.open());
    deadline.signal.throwIfAborted();
    if (this.objects.has(key)) throw new StorageError('exists', `there is a ${key} already`);
    this.objects.set(key, { bytes, modified: new Date() });
  }

  async get(key: string, deadline: Deadline): Promise<StoredObject> {
    const info = await this.head(key, deadline);
    return { info, bytes: this.#pieces(this.#find(key).bytes) };
  }

  head(key: string, _deadline: Deadline): Promise<ObjectInfo> {
    return Promise.resolve().then(() => {
      const { bytes, modified } = this.#find(key);
      return { size: bytes.length, modified };
    });
  }

  async *list(
    prefix: string,
    options: ListOptions,
    _deadline: Deadline,
  ): AsyncGenerator<readonly ListedObject[], void, undefined> {
    this.#requirePlace();
    const size = Math.min(options.limit ?? 1_000, 1_000);
    const keys = [...this.objects.keys()]
      .filter((key) => key.startsWith(prefix) && compareKeys(key, options.after ?? '') > 0)
      .sort(compareKeys);
    for (let start = 0; start < keys.length; start += size) {
      yield await Promise.resolve(
        keys.slice(start, start + size).map((key) => {
          const { bytes, modified } = this.#find(key);
          return { key, size: bytes.length, modified };
        }),
      );
    }
  }

  delete(keys: readonly string[], _deadline: Deadline): Promise<void> {
    return Promise.resolve().then(() => {
      this.#requirePlace();
      for (const key of keys) this.objects.delete(key);
    });
  }

  close(): void {
    this.objects.clear();
  }

  #find(key: string): { bytes: Buffer; modified: Date } {
    this.#requirePlace();
    const object = this.objects.get(key);
    if (object === undefined) throw new StorageError('absent', `there is no ${key}`);
    return object;
  }

  #requirePlace(): void {
    if (this.missing) throw new StorageError('configuration', `there is no ${this.url}`);
  }

  async *#pieces(bytes: Buffer): AsyncGenerator<Uint8Array, void, undefined> {
    for (let start = 0; start < bytes.length; start += this.pieceSize) {
      yield await Promise.resolve(bytes.subarray(start, start + this.pieceSize));
    }
  }
}
