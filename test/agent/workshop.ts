import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { identifyFile } from '../../src/agent/requester.ts';
import { PushAhead } from '../../src/agent/push-ahead.ts';
import type { Archive } from '../../src/archive/archives.ts';
import { loadPushKeys } from '../../src/archive/keyring.ts';
import { openCluster } from '../../src/server/cluster.ts';
import { readHistories } from '../../src/server/data-directory.ts';
import { loadSettings } from '../../src/settings/load.ts';
import type { AgentSettings } from '../../src/settings/schema.ts';
import type { Deadline } from '../../src/storage/deadline.ts';
import type { Body } from '../../src/storage/storage.ts';
import { requireName, TestCluster, type ClusterOptions } from '../harness/cluster.ts';
import { waitFor } from '../harness/wait.ts';
import { MemoryStorage } from '../storage/memory.ts';

/** A store that a test holds up, or makes fail, file by file. */
export class WatchedStorage extends MemoryStorage {
  override readonly objects: MemoryStorage['objects'];
  /** The names of the files that took one by this way to the store, in the order in which they did. */
  readonly taken: string[] = [];
  /** How many creates were under way at once, at most. */
  crowd = 0;
  #inside = 0;
  /** What happens before a file takes its name. Default: nothing. */
  before: (name: string, deadline: Deadline) => Promise<void> = () => Promise.resolve();

  /** @param other another way to the same objects */
  constructor(other?: WatchedStorage) {
    super();
    this.objects = other?.objects ?? new Map<string, { bytes: Buffer; modified: Date }>();
  }

  override async create(key: string, body: Body, deadline: Deadline): Promise<void> {
    const name = key.slice(key.lastIndexOf('/') + 1);
    this.#inside += 1;
    this.crowd = Math.max(this.crowd, this.#inside);
    try {
      await this.before(name, deadline);
      await super.create(key, body, deadline);
      this.taken.push(name);
    } finally {
      this.#inside -= 1;
    }
  }
}

/** A data directory with files that wait, and what pushes them ahead into stores in memory. */
export interface Workshop {
  readonly cluster: TestCluster;
  readonly store: WatchedStorage;
  /** The second one, where the options ask for two. */
  readonly second: WatchedStorage;
  readonly pushAhead: PushAhead;
  /** What an agent is given for a file. */
  readonly ask: (name: string) => Promise<readonly string[]>;
}

export interface WorkshopOptions extends ClusterOptions {
  readonly agent?: Partial<AgentSettings>;
  /** Whether each store, of one or two, is required. Default: one that is. */
  readonly required?: readonly [boolean, boolean?];
  /** In place of a new one. */
  readonly store?: WatchedStorage;
  readonly deadlineMs?: number;
}

export async function openWorkshop(options: WorkshopOptions = {}): Promise<Workshop> {
  const { required = [true], store = new WatchedStorage() } = options;
  const second = new WatchedStorage();
  const cluster = new TestCluster(options);
  mkdirSync(statusDirectory(cluster));
  const loaded = await loadSettings(cluster.config, {});
  const settings = {
    ...loaded,
    deadlineMs: options.deadlineMs ?? loaded.deadlineMs,
    agent: { ...loaded.agent, ...options.agent },
  };
  const [first] = settings.archives;
  if (first === undefined) throw new Error('a cluster without an archive');
  const archives: Archive[] = required.map((isRequired = true, index) => ({
    storage: index === 0 ? store : second,
    settings: { ...first, required: isRequired },
  }));
  const keys = await loadPushKeys(settings);
  const { dataDirectory } = cluster;
  const opened = await openCluster({ pgdata: dataDirectory, walPath: '' }, dataDirectory);
  const histories = (): ReturnType<typeof readHistories> => readHistories(dataDirectory);
  const pushAhead = new PushAhead({ cluster: opened, settings, keys, archives, histories }, dataDirectory);
  return {
    cluster,
    store,
    second,
    pushAhead,
    ask: (name) => pushAhead.push(requireName(name), identifyFile(cluster.walPath(name))),
  };
}

/** The name of a segment of 1 MB. */
export function segmentName(number: number, timeline = 1): string {
  return [timeline, 0, number].map((part) => part.toString(16).toUpperCase().padStart(8, '0')).join('');
}

/** Makes segments that wait for their push. Returns their names. */
export function makeWaiting(cluster: TestCluster, count: number, from = 1, seed = ''): string[] {
  return Array.from({ length: count }, (_, index) => {
    const name = segmentName(from + index);
    cluster.segment(name, { seed: `${seed}${name}` });
    markReady(cluster, name);
    return name;
  });
}

export function markReady(cluster: TestCluster, name: string): void {
  writeFileSync(join(statusDirectory(cluster), `${name}.ready`), '');
}

/** What the server does after a 0. */
export function markDone(cluster: TestCluster, name: string): void {
  rmSync(join(statusDirectory(cluster), `${name}.ready`));
  appendFileSync(join(statusDirectory(cluster), `${name}.done`), '');
}

function statusDirectory(cluster: TestCluster): string {
  return join(cluster.dataDirectory, 'pg_wal', 'archive_status');
}

/** Until so many files have taken a name in the store. */
export async function untilTaken(store: WatchedStorage, count: number): Promise<void> {
  await waitFor(
    `${count} files in the store`,
    () => store.taken.length >= count,
    10_000,
    () => store.taken.join(' '),
  );
}
