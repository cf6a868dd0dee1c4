import type { Archive } from '../archive/archives.ts';
import type { Storage, StoredObject } from '../storage/storage.ts';

interface KeptObject {
  readonly info: StoredObject['info'];
  readonly pieces: readonly Uint8Array[];
}

/** An object as it was read, for those who want it again. */
export interface Kept {
  object?: KeptObject;
}

/** The archives; whatever is read of them last stays in `kept`, unless it is larger than `mostBytes`. */
export function keeping(archives: readonly Archive[], kept: Kept, mostBytes: number): readonly Archive[] {
  return archives.map(({ settings, storage }) => ({
    settings,
    storage: withGet(storage, async (key, deadline) => {
      const { info, bytes } = await storage.get(key, deadline);
      delete kept.object;
      if (info.size > mostBytes) return { info, bytes };
      const pieces: Uint8Array[] = [];
      kept.object = { info, pieces };
      return { info, bytes: recorded(bytes, pieces) };
    }),
  }));
}

/** The first archive alone, which gives what was kept for whatever it is asked. */
export function giving([first]: readonly Archive[], { info, pieces }: KeptObject): readonly Archive[] {
  if (first === undefined) return [];
  const get = (): Promise<StoredObject> => Promise.resolve({ info, bytes: iterate(pieces) });
  return [{ settings: first.settings, storage: withGet(first.storage, get) }];
}

function withGet(storage: Storage, get: Storage['get']): Storage {
  return {
    url: storage.url,
    get,
    create: (...all) => storage.create(...all),
    head: (...all) => storage.head(...all),
    list: (...all) => storage.list(...all),
    delete: (...all) => storage.delete(...all),
    close: () => {
      storage.close();
    },
  };
}

async function* recorded(bytes: AsyncIterable<Uint8Array>, pieces: Uint8Array[]): AsyncGenerator<Uint8Array> {
  for await (const piece of bytes) {
    pieces.push(piece);
    yield piece;
  }
}

async function* iterate(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  // As from a store: in turns with whoever else works here.
  for (const piece of pieces) yield await Promise.resolve(piece);
}
