import { statfsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';

import type { Archive } from '../archive/archives.ts';
import { fetchFirst, unanswered } from '../archive/fetch.ts';
import { codeOf, Failure } from '../exit.ts';
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

/** What lies ready in pg_wal at most; and in memory, as sealed copies, once more. Bytes. */
const MAX_AHEAD_BYTES = 128 * 1024 * 1024;
/** An ahead of one is none: it would be asked for before it is there. */
const LEAST_AHEAD = 2;
/** The server needs room on that disk as well, and must not find it full because of us: a quarter of what is free is ours. */
const PART_OF_DISK = 4;
/** A second attempt is not pressed harder than that. */
const LEAST_PATIENCE_MS = 1_000;

export interface FetchContext {
  readonly settings: Settings;
  readonly cluster: Cluster;
  readonly keys: OpenKeys;
  /** All that WAL is fetched from, in order. */
  readonly archives: readonly Archive[];
  /** How much is free where pg_wal lies; given by tests. */
  readonly freeBytes?: () => number;
}

export type Fetched =
  /** The right file, whole, under a temporary name in pg_wal. */
  | { readonly is: 'landed'; readonly temporary: string; readonly file: FileId; readonly warnings: readonly string[] }
  /** No archive has it, as far as one question tells. */
  | { readonly is: 'absent' }
  | { readonly is: 'failed'; readonly failure: Failure };

interface JobOptions {
  /** The object, as it came before. */
  readonly before?: Kept | undefined;
  /** What it waits at, until the server asks for it. */
  readonly gate?: Gate;
  /** How long the server has waited for it already. */
  readonly waitedMs?: number;
}

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
  /** What the server asks for, or asked for last. It asks for one at a time: whoever asked before is gone. */
  #asked: Job | undefined;
  #askedName: SegmentName | undefined;
  /** The last one that was handed over: the server asks for it again where recovery ends. */
  #last: { readonly name: string; readonly kept: Kept } | undefined;
  #depth = 1;
  #files = 0;

  constructor(context: FetchContext) {
    this.#context = context;
    this.#gate = new Gate(context.settings.agent.workers ?? availableParallelism());
  }

  /** The server asks for a segment. Errors: none but bugs. */
  async fetch(name: SegmentName): Promise<Fetched> {
    this.#asked?.drop();
    const known = this.#jobs.get(name.name);
    // The next one may be asked for before it was begun.
    const isExpected = known !== undefined || this.#follows(name);
    this.#depth = isExpected ? Math.min(2 * this.#depth, this.#maxDepth()) : 1;
    if (!isExpected) this.forget();
    this.#jobs.delete(name.name);
    this.#askedName = name;
    const job = known ?? this.#begin(name, { before: this.#last?.name === name.name ? this.#last.kept : undefined });
    const fetched = await this.#wait(name, job, known !== undefined);
    if (fetched.is === 'landed') return fetched;
    // What lies ready must not take the room that the server's own file needs.
    if (fetched.is === 'failed' && fetched.failure.kind === 'unwritable') this.forget();
    return fetched;
  }

  /** Removes all that was fetched and not asked for. */
  forget(): void {
    for (const job of this.#jobs.values()) job.drop();
    this.#jobs.clear();
  }

  /** As `forget`, and also what was asked for and not taken. */
  close(): void {
    this.forget();
    this.#asked?.drop();
    // What was about to be begun ahead of it is not.
    this.#asked = undefined;
  }

  /** Has the server wait for a job. One that was begun ahead of its time gets a second attempt. */
  async #wait(name: SegmentName, job: Job, isAhead: boolean): Promise<Fetched> {
    const askedAt = performance.now();
    this.#asked = job;
    job.ask();
    const fetched = await job.result;
    if (this.#asked !== job) return { is: 'absent' };
    if (fetched.is === 'landed') {
      this.#last = { name: name.name, kept: job.kept };
      this.#goAhead(name, job).catch(() => {
        // What can't be fetched ahead is fetched when the server asks, and then its failure is told.
      });
      return fetched;
    }
    job.drop();
    // What went wrong ahead of its time must not fail the server: it may be over.
    return isAhead ? this.#wait(name, this.#begin(name, { waitedMs: performance.now() - askedAt }), false) : fetched;
  }

  /** Whether a segment lies behind the one that was asked for last, on whichever timeline. */
  #follows({ name }: SegmentName): boolean {
    const { segmentSize } = this.#context.cluster;
    if (segmentSize === undefined || this.#askedName === undefined) return false;
    return nextSegment(this.#askedName, segmentSize, [])?.name.slice(8) === name.slice(8);
  }

  #maxDepth(): number {
    const most = Math.floor(MAX_AHEAD_BYTES / (this.#context.cluster.segmentSize ?? Infinity));
    return most < LEAST_AHEAD ? 0 : most;
  }

  /** What the sealed copy of a segment may take up, so that all of them together stay within the limit. Bytes. */
  #maxKept(): number {
    return MAX_AHEAD_BYTES / (this.#maxDepth() + 1);
  }

  /** Begins with what the server will ask for next. Stops at the first that is not there. */
  async #goAhead(name: SegmentName, asked: Job): Promise<void> {
    const { segmentSize, dataDirectory } = this.#context.cluster;
    if (segmentSize === undefined || this.#maxDepth() === 0) return;
    const histories = await readHistories(dataDirectory);
    // The server was faster, and what comes next is another one.
    if (this.#asked !== asked) return;
    const wanted: SegmentName[] = [];
    for (let next = nextSegment(name, segmentSize, histories); next !== undefined && wanted.length < this.#depth;) {
      wanted.push(next);
      next = nextSegment(next, segmentSize, histories);
    }
    for (const [other, job] of [...this.#jobs]) {
      if (!wanted.some((one) => one.name === other)) this.#drop(other, job);
    }
    let room = Math.floor(this.#freeBytes() / (PART_OF_DISK * segmentSize));
    for (const next of wanted) {
      if (this.#jobs.has(next.name)) continue;
      if (room < 1) return;
      room -= 1;
      this.#beginAhead(next);
    }
  }

  #freeBytes(): number {
    const { freeBytes, cluster } = this.#context;
    if (freeBytes !== undefined) return freeBytes();
    const { bavail, bsize } = statfsSync(join(cluster.dataDirectory, 'pg_wal'));
    return bavail * bsize;
  }

  #beginAhead(name: SegmentName): void {
    const job = this.#begin(name, { gate: this.#gate });
    this.#jobs.set(name.name, job);
    void job.result.then(({ is }) => {
      if (is === 'landed' || this.#jobs.get(name.name) !== job) return;
      // It, and those behind it, are asked for anew when the server does.
      for (const [other, behind] of [...this.#jobs]) {
        if (other.slice(8) >= name.name.slice(8)) this.#drop(other, behind);
      }
    });
  }

  #drop(name: string, job: Job): void {
    this.#jobs.delete(name);
    job.drop();
  }

  #begin(name: SegmentName, { before, gate, waitedMs = 0 }: JobOptions): Job {
    const asked = Promise.withResolvers<undefined>();
    const ask = (): void => {
      asked.resolve(undefined);
    };
    const number = (this.#files += 1);
    const landing = new LandingFile(join(this.#context.cluster.dataDirectory, 'pg_wal', name.name), { number });
    const dropped = new AbortController();
    const { archives } = this.#context;
    const kept: Kept = { ...before };
    const sources =
      before?.object === undefined ? keeping(archives, kept, this.#maxKept()) : giving(archives, before.object);
    const run = (): Promise<Fetched> => this.#run(name, landing, sources, { dropped: dropped.signal, waitedMs });
    return {
      result: gate === undefined ? run() : gate.through(run, asked.promise),
      kept,
      ask,
      drop: () => {
        dropped.abort();
        landing.abandon();
        ask();
      },
    };
  }

  async #run(
    name: SegmentName,
    landing: LandingFile,
    archives: readonly Archive[],
    { dropped, waitedMs }: { readonly dropped: AbortSignal; readonly waitedMs: number },
  ): Promise<Fetched> {
    const isDropped = (): boolean => dropped.aborted;
    if (isDropped()) return { is: 'absent' };
    const { settings, cluster } = this.#context;
    const within = (limitMs: number): number => Math.max(LEAST_PATIENCE_MS, limitMs - waitedMs);
    const idleMs = within(silenceLimit(cluster.dataDirectory, settings));
    const deadline = new Deadline(within(settings.fetch.deadlineMs), { what: `fetch of ${name.name}`, idleMs });
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
      if (isDropped()) landing.abandon();
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
    return { is: 'landed', temporary: basename(path), file: lookAt(path), warnings };
  }
}

/** A server that starts after a crash sweeps such files; so does a fetch that does not see our process, in a container. */
function lookAt(path: string): FileId {
  try {
    return identifyFile(path);
  } catch (error) {
    throw new Failure('unwritable', `cannot look at ${path}: ${codeOf(error) ?? String(error)}`, { cause: error });
  }
}
