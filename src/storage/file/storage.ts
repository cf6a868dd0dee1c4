import type { Deadline } from '../deadline.ts';
import { StorageError } from '../errors.ts';
import type { Body, ListedObject, ListOptions, ObjectInfo, Storage, StoredObject } from '../storage.ts';

export interface FileOptions {
  /** The root must lie on another device than its parent. */
  readonly mounted: boolean;
}

/** An archive in a directory. */
export class FileStorage implements Storage {
  readonly url: string;

  constructor(url: string, _options: FileOptions) {
    this.url = url;
  }

  create(_key: string, _body: Body, _deadline: Deadline): Promise<void> {
    return Promise.reject(new StorageError('unreachable', this.url));
  }

  get(_key: string, _deadline: Deadline): Promise<StoredObject> {
    return Promise.reject(new StorageError('unreachable', this.url));
  }

  head(_key: string, _deadline: Deadline): Promise<ObjectInfo> {
    return Promise.reject(new StorageError('unreachable', this.url));
  }

  list(_prefix: string, _options: ListOptions, _deadline: Deadline): AsyncIterable<readonly ListedObject[]> {
    throw new StorageError('unreachable', this.url);
  }

  delete(_keys: readonly string[], _deadline: Deadline): Promise<void> {
    return Promise.reject(new StorageError('unreachable', this.url));
  }

  close(): void {}
}
