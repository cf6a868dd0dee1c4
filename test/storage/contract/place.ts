import { afterEach, beforeEach } from 'vitest';

import { Deadline } from '../../../src/storage/deadline.ts';
import type { StorageErrorKind } from '../../../src/storage/errors.ts';
import { compareKeys } from '../../../src/storage/order.ts';
import type { ListedObject, ListOptions, Storage } from '../../../src/storage/storage.ts';
import { collect } from '../bodies.ts';

/** An empty place of a backend, and what a suite needs to know about it. */
export interface Place {
  readonly storage: Storage;
  /** Another client of the same place. */
  another(): Promise<Storage>;
  /** A client of a place that does not exist, with what it must answer. */
  missing(): Promise<{ storage: Storage; kind: StorageErrorKind }>;
  /** Those of the special keys that the store would keep under another name: refused, and never kept so. */
  readonly refused?: readonly string[];
  /** Puts small objects there by the shortest way. */
  fill(keys: readonly string[]): Promise<void>;
  /** What an unfinished create left behind that is no object: temporary files, uploads. */
  leftovers(): Promise<readonly string[]>;
  remove(): Promise<void>;

  // What a place may lack, if it says so:
  /** A client in another process. */
  apart?(): Promise<Storage>;
  /** A client of a part of the place: an archive with this prefix in its URL. */
  atPrefix?(prefix: string): Promise<Storage>;
  /** A client whose credentials the store refuses. */
  denied?(): Promise<Storage>;
}

/** What not every place has. `digest`: the store tells an object's digest. */
export type Capability = Client | 'digest';
type Client = 'apart' | 'atPrefix' | 'denied';

export interface SuiteOptions {
  /** What is known to be lacking: its tests are left out. For all else that is lacking they fail. */
  readonly lacking?: readonly Capability[];
  /** Gives a place that takes thousands of objects in a few seconds, where another one does not. */
  readonly makeLargePlace?: MakePlace;
}

export type MakePlace = () => Promise<Place>;

/** A place, its storage and a deadline, new for each test of the `describe` that this is called in. */
export function usePlace(makePlace: MakePlace): InPlace {
  let current: InPlace | undefined;
  const now = (): InPlace => {
    if (current === undefined) throw new Error('there is a place only while a test runs');
    return current;
  };
  beforeEach(async () => {
    const place = await makePlace();
    current = { place, storage: place.storage, deadline: new Deadline(30_000, { what: 'the test' }) };
  });
  afterEach(async () => {
    const { place, storage, deadline } = now();
    deadline.close();
    storage.close();
    await place.remove();
  });
  return {
    get place() {
      return now().place;
    },
    get storage() {
      return now().storage;
    },
    get deadline() {
      return now().deadline;
    },
  };
}

export interface InPlace {
  readonly place: Place;
  readonly storage: Storage;
  readonly deadline: Deadline;
}

/** What a place offers; an error where it doesn't, and didn't say so. */
export async function offered(place: Place, capability: Client, prefix = ''): Promise<Storage> {
  const client = await place[capability]?.(prefix);
  if (client === undefined) throw new Error(`the place has no "${capability}", and does not say that it is lacking`);
  return client;
}

export async function readAll(storage: Storage, key: string, deadline: Deadline): Promise<Buffer> {
  return collect((await storage.get(key, deadline)).bytes);
}

export async function allOf(pages: AsyncIterable<readonly ListedObject[]>): Promise<ListedObject[]> {
  const objects: ListedObject[] = [];
  for await (const page of pages) objects.push(...page);
  return objects;
}

/** The keys that are listed, sorted. */
export async function keysOf(
  storage: Storage,
  prefix: string,
  deadline: Deadline,
  options: ListOptions = {},
): Promise<string[]> {
  const objects = await allOf(storage.list(prefix, options, deadline));
  return objects.map(({ key }) => key).sort(compareKeys);
}
