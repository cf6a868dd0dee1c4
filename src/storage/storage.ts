import type { Deadline } from './deadline.ts';

/**
 * What an archive needs from a store, as six verbs. Keys are relative to the archive's URL, use '/' and no
 * leading slash. Every verb may be called again after any failure, ends when its deadline does, and throws
 * nothing but a `StorageError`.
 */
export interface Storage {
  /** The archive's URL as messages show it: no credentials. */
  readonly url: string;

  /**
   * Creates the object only if the key is absent, atomically: of any number of racing writers exactly one
   * succeeds. When it resolves, the whole body is durable under the key. Never overwrites, truncates or appends.
   * Errors: `exists` where an object has the key already, which is durable then, and may be our own: an attempt whose
   * answer was lost is made again. So the caller looks. After `unreachable` the object may be there or not. What the
   * body's source throws passes as it is.
   */
  create(key: string, body: Body, deadline: Deadline): Promise<void>;

  /**
   * Opens the object for reading, from its first byte to its last. A body that ends early or is cut throws, it
   * never just ends. Where that happens after the first piece, the caller may get it again. Errors: `absent` only on
   * the store's own word that this object does not exist.
   */
  get(key: string, deadline: Deadline): Promise<StoredObject>;

  /** Size, time, and the digest that the store computed of what it holds. Errors: `absent` as with `get`. */
  head(key: string, deadline: Deadline): Promise<ObjectInfo>;

  /**
   * All objects whose keys start with `prefix` and sort after `after` (by bytes), a page at a time, in no
   * promised order. It lists everything or throws. A prefix without objects gives no page, or empty ones.
   */
  list(prefix: string, options: ListOptions, deadline: Deadline): AsyncIterable<readonly ListedObject[]>;

  /** Deletes the keys. A key that is absent counts as deleted. Stops at the first error. */
  delete(keys: readonly string[], deadline: Deadline): Promise<void>;

  /** Releases connections. The storage is not used afterwards. */
  close(): void;
}

export type DigestAlgorithm = 'sha256' | 'md5' | 'crc32c';

/** Bytes to be stored, readable as often as an attempt needs. */
export interface Body {
  /** Bytes. */
  readonly length: number;
  /** The digest of all bytes; computed at the first call, then remembered. */
  digest(algorithm: DigestAlgorithm): Promise<Uint8Array>;
  /**
   * All bytes from the first on, in pieces of any size, which stay as they are once given. Throws where the source no
   * longer gives the same bytes.
   */
  open(): AsyncIterable<Uint8Array>;
}

export interface ObjectInfo {
  /** Bytes. */
  readonly size: number;
  readonly modified: Date;
  /** As computed by the store over what it holds; absent where it computes none: then only reading back proves. */
  readonly digest?: { readonly algorithm: DigestAlgorithm; readonly value: Uint8Array };
}

export interface StoredObject {
  readonly info: ObjectInfo;
  /** In pieces of any size, which stay as they are once given. */
  readonly bytes: AsyncIterable<Uint8Array>;
}

export interface ListedObject {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  readonly modified: Date;
}

export interface ListOptions {
  /** Only keys that sort after this one; it need not exist. */
  readonly after?: string;
  /** How many objects the caller will look at: a hint that keeps pages small. */
  readonly limit?: number;
}
