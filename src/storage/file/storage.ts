import type { Deadline } from '../deadline.ts';
import type { Body, ListedObject, ListOptions, ObjectInfo, Storage, StoredObject } from '../storage.ts';
import { createObject, type Durable } from './create.ts';
import { deleteObjects } from './delete.ts';
import { nodeDisk, type Disk } from './disk.ts';
import { listObjects } from './list.ts';
import { getObject, headObject } from './read.ts';
import { Root } from './root.ts';
import { sweep } from './temporary.ts';
import { directoryOf } from './url.ts';

export interface FileOptions {
  /** The root must lie on another device than its parent: it is a mount point. */
  readonly mounted: boolean;
  /** Given by tests. */
  readonly disk?: Disk;
}

/**
 * An archive in a directory: a local disk or NFS. Nothing of it is cached between calls but which directories are
 * known to survive a crash.
 */
export class FileStorage implements Storage {
  readonly url: string;
  readonly #root: Root;
  readonly #durable: Durable = new Set();
  #swept = false;

  /** Errors: StorageError `configuration` where the URL names no directory. It need not exist yet. */
  constructor(url: string, options: FileOptions) {
    this.url = url;
    this.#root = new Root(options.disk ?? nodeDisk, directoryOf(url), options);
  }

  async create(key: string, body: Body, deadline: Deadline): Promise<void> {
    const isFirst = !this.#swept;
    this.#swept = true;
    // Not waited for: what others left behind neither delays nor fails this.
    if (isFirst) void sweep(this.#root);
    const { modifiedMs } = await createObject(this.#root, key, body, deadline, this.#durable);
    if (isFirst) void sweep(this.#root, modifiedMs);
  }

  get(key: string, deadline: Deadline): Promise<StoredObject> {
    return getObject(this.#root, key, deadline);
  }

  head(key: string): Promise<ObjectInfo> {
    return headObject(this.#root, key);
  }

  list(prefix: string, options: ListOptions, deadline: Deadline): AsyncIterable<readonly ListedObject[]> {
    return listObjects(this.#root, prefix, options, deadline);
  }

  delete(keys: readonly string[], deadline: Deadline): Promise<void> {
    return deleteObjects(this.#root, keys, deadline);
  }

  close(): void {
    // No connection, and no descriptor beyond a call.
  }
}
