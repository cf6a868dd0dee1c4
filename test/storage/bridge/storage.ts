import type { ArchiveSettings } from '../../../src/settings/schema.ts';
import type { Deadline } from '../../../src/storage/deadline.ts';
import type {
  Body,
  ListedObject,
  ListOptions,
  ObjectInfo,
  Storage,
  StoredObject,
} from '../../../src/storage/storage.ts';
import type { Executable } from './executable.ts';
import { pulledBytes, pulledPages } from './iterators.ts';
import type { Call } from './protocol.ts';
import { errorToWire, infoFromWire } from './values.ts';

/** The storage of an archive as `connect` gives it, in an executable: every verb is done there. */
export async function bridgedStorage(executable: Executable, archive: ArchiveSettings): Promise<Storage> {
  const { reply } = await executable.peer.ask('connect', { archive });
  return new BridgedStorage(executable, reply.storage, reply.url);
}

class BridgedStorage implements Storage {
  readonly url: string;
  readonly #executable: Executable;
  readonly #storage: number;

  constructor(executable: Executable, storage: number, url: string) {
    this.#executable = executable;
    this.#storage = storage;
    this.url = url;
  }

  async create(key: string, body: Body, deadline: Deadline): Promise<void> {
    const { call, end } = this.#begin(deadline, body);
    try {
      await this.#executable.peer.ask('create', { ...call, key, length: body.length });
    } finally {
      end();
    }
  }

  async get(key: string, deadline: Deadline): Promise<StoredObject> {
    const { peer } = this.#executable;
    const { call, end } = this.#begin(deadline);
    try {
      const { reply } = await peer.ask('get', { ...call, key });
      return { info: infoFromWire(reply.info), bytes: ending(pulledBytes(peer, reply.iterator), end) };
    } catch (error) {
      end();
      throw error;
    }
  }

  async head(key: string, deadline: Deadline): Promise<ObjectInfo> {
    const { call, end } = this.#begin(deadline);
    try {
      const { reply } = await this.#executable.peer.ask('head', { ...call, key });
      return infoFromWire(reply);
    } finally {
      end();
    }
  }

  async *list(
    prefix: string,
    options: ListOptions,
    deadline: Deadline,
  ): AsyncGenerator<readonly ListedObject[], void, undefined> {
    const { peer } = this.#executable;
    const { call, end } = this.#begin(deadline);
    try {
      const { reply } = await peer.ask('list', { ...call, prefix, options });
      yield* pulledPages(peer, reply.iterator);
    } finally {
      end();
    }
  }

  async delete(keys: readonly string[], deadline: Deadline): Promise<void> {
    const { call, end } = this.#begin(deadline);
    try {
      await this.#executable.peer.ask('delete', { ...call, keys });
    } finally {
      end();
    }
  }

  close(): void {
    this.#executable.peer.tell('close', { storage: this.#storage });
  }

  #begin(deadline: Deadline, body?: Body): { call: Call; end: () => void } {
    const { peer, calls } = this.#executable;
    const number = calls.begin({ deadline, ...(body === undefined ? {} : { body }) });
    const { signal } = deadline;
    const expire = (): void => {
      peer.tell('expire', { call: number, error: errorToWire(signal.reason) });
    };
    signal.addEventListener('abort', expire, { once: true });
    const end = (): void => {
      signal.removeEventListener('abort', expire);
      calls.end(number);
    };
    const remainingMs = Number.isFinite(deadline.remainingMs()) ? deadline.remainingMs() : null;
    const expired = signal.aborted ? { expired: errorToWire(signal.reason) } : {};
    return { call: { storage: this.#storage, call: number, remainingMs, ...expired }, end };
  }
}

async function* ending<T>(
  values: AsyncGenerator<T, void, undefined>,
  end: () => void,
): AsyncGenerator<T, void, undefined> {
  try {
    yield* values;
  } finally {
    end();
  }
}
