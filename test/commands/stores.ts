import { createHash } from 'node:crypto';

import type { Deadline } from '../../src/storage/deadline.ts';
import { StorageError, type StorageErrorKind } from '../../src/storage/errors.ts';
import { FileStorage } from '../../src/storage/file/storage.ts';
import { collect } from '../storage/bodies.ts';
import type { Body, ListedObject, ListOptions, ObjectInfo, Storage, StoredObject } from '../../src/storage/storage.ts';

/** The archive in this directory, as the program itself opens it. */
export function directoryStore(path: string): FileStorage {
  return new FileStorage(`file://${path}`, { mounted: false });
}

/** Another store but for what a test overrides. */
export class Differing implements Storage {
  readonly url: string;
  protected readonly storage: Storage;

  constructor(storage: Storage) {
    this.storage = storage;
    this.url = storage.url;
  }

  create(key: string, body: Body, deadline: Deadline): Promise<void> {
    return this.storage.create(key, body, deadline);
  }

  get(key: string, deadline: Deadline): Promise<StoredObject> {
    return this.storage.get(key, deadline);
  }

  head(key: string, deadline: Deadline): Promise<ObjectInfo> {
    return this.storage.head(key, deadline);
  }

  list(prefix: string, options: ListOptions, deadline: Deadline): AsyncIterable<readonly ListedObject[]> {
    return this.storage.list(prefix, options, deadline);
  }

  delete(keys: readonly string[], deadline: Deadline): Promise<void> {
    return this.storage.delete(keys, deadline);
  }

  close(): void {
    this.storage.close();
  }
}

/** Gives bodies in pieces of 4 KB, so that there is a middle to fail in. */
export class InSmallPieces extends Differing {
  override async get(key: string, deadline: Deadline): Promise<StoredObject> {
    const { info, bytes } = await super.get(key, deadline);
    // All of it first, so that a test that stops in the middle leaves no file open.
    return { info, bytes: small(await collect(bytes)) };
  }
}

async function* small(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 4_096) yield await Promise.resolve(bytes.subarray(at, at + 4_096));
}

/** Does something behind the writer's back once its create has succeeded: a racing writer, a bad disk. */
export class Raced extends Differing {
  readonly #afterwards: () => void;

  constructor(storage: Storage, afterwards: () => void) {
    super(storage);
    this.#afterwards = afterwards;
  }

  override async create(key: string, body: Body, deadline: Deadline): Promise<void> {
    await super.create(key, body, deadline);
    this.#afterwards();
  }
}

/** Does something right after an object was not found: somebody's upload that ends just then. */
export class Late extends Differing {
  readonly #arrive: () => void;

  constructor(storage: Storage, arrive: () => void) {
    super(storage);
    this.#arrive = arrive;
  }

  override async get(key: string, deadline: Deadline): Promise<StoredObject> {
    try {
      return await super.get(key, deadline);
    } catch (error) {
      this.#arrive();
      throw error;
    }
  }
}

/** Says what digest it computed, as object stores do; `computed` may be another than the true one. */
export class Digesting extends Differing {
  readonly #computed: (true_: Buffer) => Buffer;

  constructor(storage: Storage, computed: (digest: Buffer) => Buffer = (digest) => digest) {
    super(storage);
    this.#computed = computed;
  }

  override async head(key: string, deadline: Deadline): Promise<ObjectInfo> {
    const { info, bytes } = await super.get(key, deadline);
    const hash = createHash('md5');
    for await (const piece of bytes) hash.update(piece);
    return { ...info, digest: { algorithm: 'md5', value: this.#computed(hash.digest()) } };
  }
}

/** Answers every request with the same error. */
export class Failing extends Differing {
  readonly #kind: StorageErrorKind;
  requests = 0;

  constructor(storage: Storage, kind: StorageErrorKind) {
    super(storage);
    this.#kind = kind;
  }

  override create(): Promise<void> {
    return Promise.reject(this.#error());
  }

  override get(): Promise<StoredObject> {
    return Promise.reject(this.#error());
  }

  override head(): Promise<ObjectInfo> {
    return Promise.reject(this.#error());
  }

  override list(): AsyncIterable<readonly ListedObject[]> {
    const error = this.#error();
    return {
      [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(error) }),
    };
  }

  #error(): StorageError {
    this.requests += 1;
    return new StorageError(this.#kind, `injected: ${this.#kind}`, { retryable: false });
  }
}
