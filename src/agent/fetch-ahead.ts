import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';

import type { Archive } from '../archive/archives.ts';
import { fetchFirst, unanswered } from '../archive/fetch.ts';
import { Failure } from '../exit.ts';
import type { OpenKeys } from '../seal/keys.ts';
import type { Cluster } from '../server/cluster.ts';
import { readHistories } from '../server/data-directory.ts';
import { LandingFile } from '../server/landing-file.ts';
import { silenceLimit } from '../server/signals.ts';
import type { Settings } from '../settings/schema.ts';
import { Deadline } from '../storage/deadline.ts';
import { StorageError } from '../storage/errors.ts';
import type { SegmentName } from '../wal/name.ts';
import { nextSegment } from '../wal/next.ts';
import { Gate } from './gates.ts';
import { giving, keeping, type Kept } from './kept.ts';
import type { FileId } from './message.ts';
import { identifyFile } from './requester.ts';

/** What lies ready in pg_wal, and its sealed copies in memory, together at most. Bytes. */
const MAX_AHEAD_BYTES = 128 * 1024 * 1024;
/** An ahead of one is none: it would be asked for before it is there. */
const LEAST_AHEAD = 2;

export interface FetchContext {
  readonly settings: Settings;
  readonly cluster: Cluster;
  readonly keys: OpenKeys;
  /** All that WAL is fetched from, in order. */
  readonly archives: readonly Archive[];
}

export type Fetched =
  /** The right file, whole, under a temporary name in pg_wal. */
  | { readonly is: 'landed'; readonly temporary: string; readonly file: FileId; readonly warnings: readonly string[] }
  /** No archive has it, as far as one question tells. */
  | { readonly is: 'absent' }
  | { readonly is: 'failed'; readonly failure: Failure };

interface Job {
  readonly result: Promise<Fetched>;
  /** The object, as it came. */
  readonly kept: Kept;
  /** The server waits for it. */
  ask(): void;
  /** It is of no use any more: leaves nothing behind. */
  drop(): void;
}

/**
 * Fetches the segment that the server asks for, and those that it will ask for next. What is handed over is complete and
 * checked, and is handed over once; that something is absent is never remembered.
 */
export class FetchAhead {
  readonly #context: FetchContext;
  readonly #jobs = new Map<string, Job>();
  readonly #gate: Gate;
  /** The last one that was handed over: the server asks for it again where recovery ends. */
  #last: { readonly name: string; readonly job: Job } | undefined;
  #depth = 1;
  #files = 0;

  constructor(context: FetchContext) {
    this.#context = context;
    this.#gate = new Gate(context.settings.agent.workers ?? availableParallelism());
  }

  /** The server asks for a segment. Errors: none but bugs. */
  async fetch(name: SegmentName): Promise<Fetched> {
    // Whoever it was handed to has renamed it, or is gone.
    this.#last?.job.drop();
    const known = this.#jobs.get(name.name);
    this.#depth = known === undefined ? 1 : Math.min(2 * this.#depth, this.#maxDepth());
    if (known === undefined) this.forget();
    else this.#jobs.delete(name.name);
    known?.ask();
    let job = known ?? this.#begin(name, this.#last?.name === name.name ? this.#last.job.kept : undefined);
    let fetched = await job.result;
    if (known !== undefined && fetched.is !== 'landed') {
      // What went wrong ahead of its time must not fail the server: it may be over.
      known.drop();
      job = this.#begin(name);
      fetched = await job.result;
    }
    if (fetched.is !== 'landed') {
      job.drop();
      return fetched;
    }
    this.#last = { name: name.name, job };
    this.#goAhead(name).catch(() => {
      // What can't be fetched ahead is fetched when the server asks, and then its failure is told.
    });
    return fetched;
  }

  /** Removes all that was fetched and not handed over. */
  forget(): void {
    for (const job of this.#jobs.values()) job.drop();
    this.#jobs.clear();
  }

  /** As `forget`, and also what was handed over and not taken. */
  close(): void {
    this.forget();
    this.#last?.job.drop();
  }

  #maxDepth(): number {
    const most = Math.floor(MAX_AHEAD_BYTES / (this.#context.cluster.segmentSize ?? Infinity));
    return most < LEAST_AHEAD ? 0 : most;
  }

  /** Begins with what the server will ask for next. Stops at the first that is not there. */
  async #goAhead(name: SegmentName): Promise<void> {
    const { segmentSize, dataDirectory } = this.#context.cluster;
    if (segmentSize === undefined) return;
    const depth = Math.min(this.#depth, this.#maxDepth());
    const histories = await readHistories(dataDirectory);
    let next = nextSegment(name, segmentSize, histories);
    for (let ahead = 0; ahead < depth && next !== undefined; ahead += 1) {
      if (!this.#jobs.has(next.name)) this.#beginAhead(next);
      next = nextSegment(next, segmentSize, histories);
    }
  }

  #beginAhead(name: SegmentName): void {
    const job = this.#begin(name, undefined, this.#gate);
    this.#jobs.set(name.name, job);
    void job.result.then(({ is }) => {
      if (is === 'landed' || this.#jobs.get(name.name) !== job) return;
      // It, and those behind it, are asked for anew when the server does.
      for (const [other, behind] of [...this.#jobs]) {
        if (other.slice(8) < name.name.slice(8)) continue;
        this.#jobs.delete(other);
        behind.drop();
      }
    });
  }

  #begin(name: SegmentName, before?: Kept, gate?: Gate): Job {
    const asked = Promise.withResolvers<undefined>();
    const ask = (): void => {
      asked.resolve(undefined);
    };
    const number = (this.#files += 1);
    const landing = new LandingFile(join(this.#context.cluster.dataDirectory, 'pg_wal', name.name), { number });
    const dropped = new AbortController();
    const { archives } = this.#context;
    const kept: Kept = { ...before };
    const sources = before === undefined ? keeping(archives, kept) : giving(archives, before);
    const run = (): Promise<Fetched> => this.#run(name, landing, sources, dropped.signal);
    return {
      result: gate === undefined ? run() : gate.through(run, asked.promise),
      kept,
      ask,
      drop: () => {
        dropped.abort();
        landing.discard();
        ask();
      },
    };
  }

  async #run(
    name: SegmentName,
    landing: LandingFile,
    archives: readonly Archive[],
    dropped: AbortSignal,
  ): Promise<Fetched> {
    const isDropped = (): boolean => dropped.aborted;
    if (isDropped()) return { is: 'absent' };
    const { settings, cluster } = this.#context;
    const idleMs = silenceLimit(cluster.dataDirectory, settings);
    const deadline = new Deadline(settings.fetch.deadlineMs, { what: `fetch of ${name.name}`, idleMs });
    dropped.addEventListener('abort', () => {
      deadline.expire(new StorageError('unreachable', `${name.name} is not wanted any more`, { retryable: false }));
    });
    try {
      const fetched = await this.#land(name, landing, archives, deadline, idleMs);
      return isDropped() ? { is: 'absent' } : fetched;
    } catch (error) {
      // What is dropped ends in the middle of whatever it does.
      if (isDropped()) return { is: 'absent' };
      if (error instanceof Failure) return { is: 'failed', failure: error };
      throw error;
    } finally {
      deadline.close();
      if (isDropped()) landing.discard();
    }
  }

  async #land(
    name: SegmentName,
    landing: LandingFile,
    archives: readonly Archive[],
    deadline: Deadline,
    silenceMs: number,
  ): Promise<Fetched> {
    const { settings, cluster, keys } = this.#context;
    const wanted = { name, systemId: cluster.systemId };
    const { found, failures } = await fetchFirst(archives, wanted, Promise.resolve(keys), landing, deadline, silenceMs);
    const [first] = failures;
    if (found === undefined) {
      return first === undefined
        ? { is: 'absent' }
        : { is: 'failed', failure: unanswered(name, first.failure, settings) };
    }
    const path = await landing.finish();
    const warnings = failures.map(({ failure }) => `${failure.message}; taken from archive ${found.storage.url}`);
    return { is: 'landed', temporary: basename(path), file: identifyFile(path), warnings };
  }
}
