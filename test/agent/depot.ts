import { readdirSync, readFileSync, readlinkSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

import { FetchAhead, type Fetched } from '../../src/agent/fetch-ahead.ts';
import type { Archive } from '../../src/archive/archives.ts';
import { readWalFile } from '../../src/archive/check.ts';
import { loadOpenKeys, loadPushKeys } from '../../src/archive/keyring.ts';
import { pushDeadline, pushFile } from '../../src/archive/push.ts';
import { openCluster } from '../../src/server/cluster.ts';
import { loadSettings } from '../../src/settings/load.ts';
import type { AgentSettings, FetchSettings } from '../../src/settings/schema.ts';
import type { Deadline } from '../../src/storage/deadline.ts';
import { withLimits } from '../../src/storage/limits.ts';
import type { StoredObject } from '../../src/storage/storage.ts';
import type { SystemId } from '../../src/wal/control.ts';
import { objectKey } from '../../src/wal/keys.ts';
import { toSegmentSize, type SegmentName } from '../../src/wal/name.ts';
import { removePath, requireName, TestCluster } from '../harness/cluster.ts';
import { waitFor } from '../harness/wait.ts';
import { MemoryStorage } from '../storage/memory.ts';

/** A store that tells what is read of it, and that a test holds up or makes fail, file by file. */
export class ReadStorage extends MemoryStorage {
  /** The names of the files that were asked for, in order. */
  readonly asked: string[] = [];
  /** What happens before a file is given. Default: nothing. */
  before: (name: string, deadline: Deadline) => Promise<void> = () => Promise.resolve();
  /** What happens to the bytes on their way. Default: nothing. */
  through: (name: string, object: StoredObject) => StoredObject = (_, object) => object;

  override async get(key: string, deadline: Deadline): Promise<StoredObject> {
    const name = key.slice(key.lastIndexOf('/') + 1);
    this.asked.push(name);
    await this.before(name, deadline);
    return this.through(name, await super.get(key, deadline));
  }
}

export interface DepotOptions {
  /** How many segments are in the archive, from number 1 on. Default: 12. */
  readonly segments?: number;
  /** Names of others that are there, too. */
  readonly others?: readonly string[];
  /** What pg_control says. The segments are of 1 MB all the same. */
  readonly segmentMb?: number;
  readonly stores?: 1 | 2;
  readonly fetch?: Partial<FetchSettings>;
  readonly agent?: Partial<AgentSettings>;
  /** How many bytes are free beside pg_wal, as far as anybody is told. */
  readonly freeBytes?: () => number;
}

/** A data directory that recovers from stores in memory, and what fetches ahead of it. */
export class Depot {
  readonly cluster: TestCluster;
  readonly stores: readonly ReadStorage[];
  readonly fetchAhead: FetchAhead;
  /** What each segment holds. */
  readonly contents: ReadonlyMap<string, Buffer>;
  readonly #systemId: SystemId;

  private constructor(
    cluster: TestCluster,
    stores: readonly ReadStorage[],
    fetchAhead: FetchAhead,
    contents: ReadonlyMap<string, Buffer>,
  ) {
    this.cluster = cluster;
    this.#systemId = cluster.systemId;
    this.stores = stores;
    this.fetchAhead = fetchAhead;
    this.contents = contents;
  }

  static async open(options: DepotOptions = {}): Promise<Depot> {
    const { segments = 12, stores: count = 1, segmentMb = 1, freeBytes = () => Infinity } = options;
    original ??= new TestCluster();
    const cluster = new TestCluster({ beside: original, systemId: original.systemId });
    onTestFinished(() => {
      cluster.remove();
    });
    const loaded = await loadSettings(cluster.config, {});
    const settings = {
      ...loaded,
      fetch: { ...loaded.fetch, ...options.fetch },
      agent: { ...loaded.agent, ...options.agent },
    };
    const [first] = settings.archives;
    if (first === undefined) throw new Error('a cluster without an archive');
    const stores = Array.from({ length: count }, () => new ReadStorage(64 * 1024));
    // As a real one: within limits.
    const archives = stores.map((one): Archive => ({ storage: withLimits(one, { cleanUpMs: 5 }), settings: first }));
    const numbers = Array.from({ length: segments }, (_, index) => segmentName(index + 1));
    const contents = await fill(original, stores, [...numbers, ...(options.others ?? [])]);
    const { segmentSize: _, ...opened } = await openCluster({ pgdata: cluster.dataDirectory, walPath: '' }, '/');
    const segmentSize = toSegmentSize(segmentMb * 1024 * 1024);
    if (segmentSize === undefined) throw new Error(`no segment has ${segmentMb} MB`);
    const keys = await loadOpenKeys(settings);
    const context = { settings, cluster: { ...opened, segmentSize }, keys, archives, freeBytes };
    const fetchAhead = new FetchAhead(context);
    onTestFinished(() => {
      fetchAhead.close();
    });
    return new Depot(cluster, stores, fetchAhead, contents);
  }

  get store(): ReadStorage {
    const [first] = this.stores;
    if (first === undefined) throw new Error('a depot without a store');
    return first;
  }

  /** As wal-fetch asks. */
  ask(name: string): Promise<Fetched> {
    return this.fetchAhead.fetch(segment(name));
  }

  /** As wal-fetch asks, and renames what it is given. Returns what the server finds there. */
  async take(name: string): Promise<Buffer> {
    const fetched = await this.ask(name);
    if (fetched.is !== 'landed') throw new Error(`${name} is ${fetched.is}`);
    renameSync(this.cluster.walPath(fetched.temporary), this.cluster.walPath('RECOVERYXLOG'));
    return readFileSync(this.cluster.walPath('RECOVERYXLOG'));
  }

  /** Takes the first so many, slowly enough to find the next ones ready: one, two, four and so on. */
  async begin(count: number): Promise<void> {
    for (let number = 1; number <= count; number += 1) {
      await this.take(segmentName(number));
      await this.untilReady(2 ** (number - 1));
    }
  }

  /** The files that lie in pg_wal for a moment. */
  temporaries(): string[] {
    return readdirSync(join(this.cluster.dataDirectory, 'pg_wal')).filter((name) => name.startsWith('xlogtemp.'));
  }

  /** As a server does that starts after a crash. */
  sweep(): void {
    for (const name of this.temporaries()) removePath(this.cluster.walPath(name));
  }

  /** Until nothing is under way: so many files lie ready. */
  async untilReady(count: number): Promise<void> {
    await waitFor(
      `${count} files ready`,
      () => this.temporaries().length === count && this.isQuiet(),
      10_000,
      () => `${this.temporaries().join(' ')}; open: ${this.descriptors().join(' ')}`,
    );
  }

  /** Whether no file below the data directory is open. */
  isQuiet(): boolean {
    return this.descriptors().length === 0;
  }

  descriptors(): string[] {
    return openFiles().filter((target) => target.startsWith(this.cluster.dataDirectory));
  }

  /** How often each file was asked for, in all stores. */
  counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const name of this.stores.flatMap(({ asked }) => asked)) counts[name] = (counts[name] ?? 0) + 1;
    return counts;
  }

  key(name: string): string {
    return objectKey(this.#systemId, requireName(name));
  }

  /** Changes one bit of an object, in the last third of it. */
  damage(name: string, store: ReadStorage = this.store): void {
    const object = store.objects.get(this.key(name));
    if (object === undefined) throw new Error(`there is no ${name}`);
    const bytes = Buffer.from(object.bytes);
    const at = Math.floor(bytes.length * 0.8);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    store.objects.set(this.key(name), { ...object, bytes });
  }
}

/** The name of a segment: the third part is `number`. */
export function segmentName(number: number, timeline = 1): string {
  return [timeline, 0, number].map((part) => part.toString(16).toUpperCase().padStart(8, '0')).join('');
}

function segment(text: string): SegmentName {
  const name = requireName(text);
  if (name.kind !== 'segment') throw new Error(`${text} is no segment`);
  return name;
}

interface SealedSegment {
  readonly key: string;
  readonly object: Buffer;
  readonly content: Buffer;
}

/** Of one cluster, whose keys and identity all depots have: sealing takes longer than what most tests look at. */
const sealed = new Map<string, Promise<SealedSegment>>();
let original: TestCluster | undefined;

function sealOnce(cluster: TestCluster, name: string): Promise<SealedSegment> {
  const known = sealed.get(name) ?? sealSegment(cluster, name);
  sealed.set(name, known);
  return known;
}

/** Archives a segment as a push does, and takes it away from pg_wal. */
async function sealSegment(cluster: TestCluster, name: string): Promise<SealedSegment> {
  const settings = await loadSettings(cluster.config, {});
  const [first] = settings.archives;
  if (first === undefined) throw new Error('a cluster without an archive');
  const keys = await loadPushKeys(settings);
  const storage = new MemoryStorage();
  const archives = [{ storage, settings: first }];
  const content = cluster.segment(name);
  const file = await readWalFile(cluster.walPath(name), cluster.systemId);
  const deadline = pushDeadline(settings, file);
  const context = { cluster, settings, keys, archives, histories: () => Promise.resolve([]) };
  await pushFile(file, context, deadline, () => undefined);
  deadline.close();
  removePath(cluster.walPath(name));
  const [[key, { bytes: object }] = ['', { bytes: Buffer.alloc(0) }]] = storage.objects;
  return { key, object, content };
}

/** Has segments in each store. Returns what they hold. */
async function fill(
  cluster: TestCluster,
  stores: readonly MemoryStorage[],
  names: readonly string[],
): Promise<Map<string, Buffer>> {
  const contents = new Map<string, Buffer>();
  for (const name of names) {
    const { key, object, content } = await sealOnce(cluster, name);
    contents.set(name, content);
    for (const store of stores) store.objects.set(key, { bytes: object, modified: new Date() });
  }
  return contents;
}

function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((descriptor) => {
    try {
      return [readlinkSync(`/proc/self/fd/${descriptor}`)];
    } catch {
      return [];
    }
  });
}
