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
import type { PendingCalls } from './calls.ts';
import { pulledBytes, pulledPages } from './iterators.ts';
import type { Peer } from './peer.ts';
import type { Call } from './protocol.ts';
import { errorToWire, infoFromWire } from './values.ts';

/** Our end of a bridge. */
export interface Bridge {
  readonly peer: Peer;
  readonly calls: PendingCalls;
}

/** The storage of an archive as `connect` gives it, in an executable: every verb is done there. */
export async function bridgedStorage(
  bridge: Bridge,
  archive: ArchiveSettings,
  onClose: () => void = () => undefined,
): Promise<Storage> {
  const { reply } = await bridge.peer.ask('connect', { archive });
  return new BridgedStorage(bridge, reply, onClose);
}

class BridgedStorage implements Storage {
  readonly url: string;
  readonly #bridge: Bridge;
  readonly #storage: number;
  readonly #onClose: () => void;

  constructor(bridge: Bridge, { storage, url }: { storage: number; url: string }, onClose: () => void) {
    this.#onClose = onClose;
    this.#bridge = bridge;
    this.#storage = storage;
    this.url = url;
  }

  async create(key: string, body: Body, deadline: Deadline): Promise<void> {
    const { call, end } = this.#begin(deadline, body);
    try {
      await this.#bridge.peer.ask('create', { ...call, key, length: body.length });
    } finally {
      end();
    }
  }

  async get(key: string, deadline: Deadline): Promise<StoredObject> {
    const { peer } = this.#bridge;
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
      const { reply } = await this.#bridge.peer.ask('head', { ...call, key });
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
    const { peer } = this.#bridge;
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
      await this.#bridge.peer.ask('delete', { ...call, keys });
    } finally {
      end();
    }
  }

  close(): void {
    this.#bridge.peer.tell('close', { storage: this.#storage });
    this.#onClose();
  }

  #begin(deadline: Deadline, body?: Body): { call: Call; end: () => void } {
    const { peer, calls } = this.#bridge;
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
