import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import type { Archive } from '../archive/archives.ts';
import { readWalFile, type WalFile } from '../archive/check.ts';
import type { InTurn } from '../archive/place.ts';
import { pushDeadline, pushFile, type Gates, type PushContext } from '../archive/push.ts';
import { Failure } from '../exit.ts';
import type { AgentSettings } from '../settings/schema.ts';
import type { Deadline } from '../storage/deadline.ts';
import type { WalName } from '../wal/name.ts';
import { Gate, Place } from './gates.ts';
import { isSameFile, type FileId } from './message.ts';
import { identifyFile } from './requester.ts';
import { Waiting } from './waiting.ts';

/** How far ahead of the file that the server asked for. */
const MAX_AHEAD = 32;
/** With more waiting, the backlog counts for more than the cores that the database would have. */
const BACKLOG = 16;
/** What a byte of a file on its way takes up: its sealed copy, and the buffers it is made with. */
const MEMORY_PER_BYTE = 1.5;

/** A file that is stored, or on its way, as it was when it was read. */
interface Job {
  readonly file: FileId;
  readonly warnings: readonly string[];
  /** Resolves when it is stored and verified, or proven identical. Errors: Failure. */
  readonly stored: Promise<void>;
  /** The server waits for it: it waits for nobody from now on. */
  ask(): void;
}

/**
 * Pushes the file that the server asks for, and those that wait behind it ahead of its asking. That a file is archived
 * is known here alone, in memory, and bound to what the file was when it was read.
 *
 * What is pushed ahead takes its name in an archive only when the file before it on the same timeline has taken its
 * own, there and in every archive that is required: so two copies of a cluster that archive to the same place can't
 * each store a part of one timeline.
 */
export class PushAhead {
  readonly #context: PushContext;
  readonly #dataDirectory: string;
  readonly #limits: AgentSettings;
  readonly #jobs = new Map<string, Job>();
  readonly #deadlines = new Set<Deadline>();
  /** The last place in the queue of each archive and timeline. */
  readonly #queues = new Map<string, Place>();
  /** On each timeline, the file that was refused, or would be: nothing from there on is pushed ahead. */
  readonly #refused = new Map<number, string>();
  readonly #waiting: Waiting;
  readonly #workers = new Gate(1);
  readonly #memory = new Gate(1);

  constructor(context: PushContext, dataDirectory: string) {
    this.#context = context;
    this.#dataDirectory = dataDirectory;
    this.#waiting = new Waiting(dataDirectory);
    this.#limits = context.settings.agent;
  }

  /** The server asks for a file in pg_wal. Returns, when it is archived, what is unusual about it. Errors: Failure. */
  async push(name: WalName, file: FileId): Promise<readonly string[]> {
    const job = await this.#settle(name, file);
    if (this.#refused.get(name.timeline) === name.name) this.#refused.delete(name.timeline);
    this.#goAhead(name).catch(() => {
      // What can't be pushed ahead is pushed when the server asks, and then its failure is told.
      this.#waiting.forget();
    });
    return job.warnings;
  }

  /** The server is on its way down: what is under way gets so many milliseconds. */
  hurry(ms: number): void {
    for (const deadline of this.#deadlines) deadline.shorten(ms);
  }

  /** Another server is there: nothing that was found out is known of its files. */
  forget(): void {
    this.#jobs.clear();
    this.#queues.clear();
    this.#refused.clear();
    this.#waiting.forget();
  }

  /** The job of a file that the server asks for, when it has succeeded. */
  async #settle(name: WalName, file: FileId): Promise<Job> {
    const known = this.#jobs.get(name.name);
    if (known !== undefined && isSameFile(known.file, file)) {
      known.ask();
      try {
        await known.stored;
        return known;
      } catch (error) {
        // What went wrong ahead of its time must not fail the server: it may be over.
        if (isRefusal(error)) throw error;
      }
    }
    const job = this.#begin(name, file);
    job.ask();
    await job.stored;
    return job;
  }

  #begin(name: WalName, file: FileId): Job {
    const asked = Promise.withResolvers<undefined>();
    const isFree = asked.promise.then(() => true);
    let isAsked = false;
    const warnings: string[] = [];
    const places = this.#queue(name);
    const leave = (cameThrough: boolean): void => {
      for (const place of places.values()) place.leave(cameThrough);
    };
    /** One before it did not come through. */
    let isBarred = false;
    for (const { isClear } of places.values()) {
      void isClear.then((cameThrough) => {
        if (cameThrough || isAsked) return;
        isBarred = true;
        // At once: what those behind it did until then would be for nothing.
        leave(false);
      });
    }
    const inTurn: InTurn = async (archive, act) => {
      const place = places.get(archive);
      if (place === undefined) return act();
      // In this order: what the server asks for does not fail because of what failed before it asked.
      if (!(await Promise.race([isFree, isTurn(archive, places)]))) throw notStoredBefore(name);
      const result = await act();
      place.leave(true);
      return result;
    };
    const sealing = <T>(act: () => Promise<T>): Promise<T> =>
      this.#workers.through(() => {
        if (isBarred && !isAsked) throw notStoredBefore(name);
        return act();
      }, asked.promise);
    const stored = this.#memory.through(async () => {
      const seen = await readWalFile(join(this.#dataDirectory, 'pg_wal', name.name), this.#context.cluster.systemId);
      if (!isAsked && seen.problem !== undefined) throw this.#postpone(name, seen.problem);
      return this.#store(seen, file, (line) => warnings.push(line), { sealing, inTurn });
    }, asked.promise);
    const job = {
      file,
      warnings,
      stored,
      ask: () => {
        isAsked = true;
        asked.resolve(undefined);
      },
    };
    this.#jobs.set(name.name, job);
    stored.then(
      () => {
        leave(true);
      },
      (error: unknown) => {
        leave(false);
        if (this.#jobs.get(name.name) === job) this.#jobs.delete(name.name);
        if (isRefusal(error)) this.#refuse(name);
      },
    );
    return job;
  }

  /** A place in the queue of each archive. Only segments follow one another. */
  #queue({ kind, timeline }: WalName): ReadonlyMap<Archive, Place> {
    if (kind !== 'segment') return new Map();
    const places = this.#context.archives.map((archive, index) => {
      const queue = `${index} ${timeline}`;
      const place = new Place(this.#queues.get(queue));
      this.#queues.set(queue, place);
      return [archive, place] as const;
    });
    return new Map(places);
  }

  async #store(seen: WalFile, file: FileId, warn: (line: string) => void, gates: Gates): Promise<void> {
    const deadline = pushDeadline(this.#context.settings, seen);
    this.#deadlines.add(deadline);
    try {
      await pushFile(seen, this.#context, deadline, warn, gates);
    } finally {
      deadline.close();
      this.#deadlines.delete(deadline);
    }
    if (!isSameFile(identifyFile(seen.path), file)) {
      throw new Failure('unreachable', `${seen.name.name} is another file than it was when it was to be archived`);
    }
  }

  /** Begins with what waits behind a file that is archived. */
  async #goAhead(name: WalName): Promise<void> {
    if (name.kind !== 'segment') return;
    for (const [known] of this.#jobs)
      if (known <= name.name && known.slice(0, 8) === name.name.slice(0, 8)) this.#jobs.delete(known);
    const behind = await this.#waiting.behind(name, MAX_AHEAD);
    this.#workers.width = this.#limits.workers ?? usualWorkers(this.#waiting.count);
    const refused = this.#refused.get(name.timeline);
    for (const next of behind) {
      if (refused !== undefined && next.name >= refused) return;
      if (this.#jobs.has(next.name)) continue;
      const file = identifyFile(join(this.#dataDirectory, 'pg_wal', next.name));
      this.#memory.width = Math.max(1, Math.floor(this.#limits.memory / (Number(file.size) * MEMORY_PER_BYTE)));
      this.#begin(next, file);
    }
  }

  /** Whether it goes aside or is refused is found out when the server asks for it. */
  #postpone(name: WalName, problem: string): Failure {
    this.#refuse(name);
    return new Failure('unreachable', `${name.name} is not pushed ahead: ${problem}`);
  }

  #refuse(name: WalName): void {
    const earlier = this.#refused.get(name.timeline);
    if (earlier === undefined || name.name < earlier) this.#refused.set(name.timeline, name.name);
  }
}

/**
 * Whether the file before came through: in this archive, and in all that are required. A refusal by one of these ends
 * the timeline in the others, too.
 */
async function isTurn(archive: Archive, places: ReadonlyMap<Archive, Place>): Promise<boolean> {
  const before = [...places].filter(([other]) => other === archive || other.settings.required);
  const all = await Promise.all(before.map(([, { isClear }]) => isClear));
  return all.every(Boolean);
}

function notStoredBefore({ name }: WalName): Failure {
  return new Failure('unreachable', `${name} waits for the file before it, which was not stored`);
}

function usualWorkers(waiting: number): number {
  const cores = availableParallelism();
  return waiting > BACKLOG ? cores + 1 : Math.max(1, Math.floor(cores / 2));
}

/** What says that this server's WAL is not what the archive should hold. */
function isRefusal(error: unknown): boolean {
  return error instanceof Failure && ['different', 'invalid', 'damaged'].includes(error.kind);
}
