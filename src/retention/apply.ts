/** Carries out a plan: what was planned is what is deleted, by its exact keys, in the plan's order. */
import { Failure } from '../exit.ts';
import type { Deadline } from '../storage/deadline.ts';
import { StorageError } from '../storage/errors.ts';
import type { Storage } from '../storage/storage.ts';
import { walPrefix } from '../wal/keys.ts';
import type { WalName } from '../wal/name.ts';
import { takeInventory, type Inventory } from './inventory.ts';
import { objectsOf, type Doomed } from './order.ts';
import { doomed, type Plan } from './plan.ts';
import { segmentNumber } from './segment-number.ts';

/** Objects in one call of the store: what S3 takes in a request. */
const BATCH = 1_000;

export interface Applying {
  readonly deadline: Deadline;
  /** Right before the first deletion: a clause that says what the plan stands on and has changed; undefined: nothing. */
  readonly recheck: () => Promise<string | undefined>;
  /** Asked between batches. */
  readonly isInterrupted: () => boolean;
  readonly progress: (done: number, total: number) => void;
}

export interface Amount {
  readonly count: number;
  readonly bytes: number;
}

/** What came of it, as a listing afterwards shows it. */
export interface Applied {
  /**
   * `done`: all that was to go is gone. `changed`: nothing was tried, since the plan stands on what is no more.
   * `interrupted`, `failed`: the rest was not tried. `remaining`: the store said of all that it is deleted, and some is
   * there. `unverified`: it said so, and could not be asked again.
   */
  readonly is: 'done' | 'changed' | 'interrupted' | 'failed' | 'remaining' | 'unverified';
  /** Whether the archive was listed again: else `deleted` is what the store has said. */
  readonly isVerified: boolean;
  /** What is gone. */
  readonly deleted: Amount;
  /** Of what was to go. */
  readonly left: Amount;
  /** What has changed: a clause. */
  readonly change?: string;
  /** What the store said in the end. */
  readonly error?: StorageError | Failure;
}

/**
 * Deletes what a plan says. No batch reaches over the end of a stretch: where a store deletes only a part of one, no
 * child timeline is gone while what it forked from is there. The first failure ends it. Errors: those of
 * `recheck`, before anything was deleted.
 */
export async function applyPlan(storage: Storage, plan: Plan, applying: Applying): Promise<Applied> {
  const all = sum(plan.deletes);
  if (all.count === 0) return { is: 'done', isVerified: true, deleted: NOTHING, left: NOTHING };
  if (applying.isInterrupted()) return { is: 'interrupted', isVerified: true, deleted: NOTHING, left: all };
  const change = await applying.recheck();
  if (change !== undefined) return { is: 'changed', isVerified: true, deleted: NOTHING, left: all, change };
  const tried = await deleteAll(storage, plan, all.count, applying);
  return verify(storage, plan, all, tried, applying.deadline);
}

const NOTHING: Amount = { count: 0, bytes: 0 };

interface Tried {
  /** Objects of the plan's order that a request was made for. */
  readonly count: number;
  /** Of these, those whose request succeeded. */
  readonly confirmed: number;
  readonly end: 'done' | 'interrupted' | 'failed';
  readonly error?: StorageError | Failure;
}

async function deleteAll(
  storage: Storage,
  plan: Plan,
  total: number,
  { deadline, isInterrupted, progress }: Applying,
): Promise<Tried> {
  let count = 0;
  for (const batch of batches(plan)) {
    if (isInterrupted()) return { count, confirmed: count, end: 'interrupted' };
    progress(count, total);
    const confirmed = count;
    count += batch.length;
    try {
      await storage.delete(batch, deadline);
    } catch (error) {
      return { count, confirmed, end: 'failed', error: understood(error) };
    }
  }
  return { count, confirmed: count, end: 'done' };
}

function* batches({ deletes, assessment }: Plan): Generator<string[]> {
  for (const stretch of deletes) {
    let batch: string[] = [];
    for (const { key } of objectsOf(stretch, assessment.inventory)) {
      batch.push(key);
      if (batch.length < BATCH) continue;
      yield batch;
      batch = [];
    }
    if (batch.length > 0) yield batch;
  }
}

async function verify(storage: Storage, plan: Plan, all: Amount, tried: Tried, deadline: Deadline): Promise<Applied> {
  try {
    const { systemId, segmentSize } = plan.assessment.inventory;
    const pages = storage.list(walPrefix(systemId), {}, deadline);
    const now = await takeInventory(pages, { systemId, segmentSize });
    const deleted = amount(plan, tried.count, ({ name }) => !isIn(now, name));
    const is = tried.end === 'done' && deleted.count < all.count ? 'remaining' : tried.end;
    return { is, isVerified: true, deleted, left: minus(all, deleted), ...(tried.error && { error: tried.error }) };
  } catch (error) {
    const deleted = amount(plan, tried.confirmed, () => true);
    const is = tried.end === 'done' ? 'unverified' : tried.end;
    return { is, isVerified: false, deleted, left: minus(all, deleted), error: tried.error ?? understood(error) };
  }
}

/** How much of the first `count` objects of the plan's order is counted. */
function amount(plan: Plan, count: number, counts: (object: Doomed) => boolean): Amount {
  let [index, objects, bytes] = [0, 0, 0];
  for (const object of doomed(plan)) {
    if (index === count) break;
    index += 1;
    if (!counts(object)) continue;
    objects += 1;
    bytes += object.bytes;
  }
  return { count: objects, bytes };
}

function isIn({ timelines, segmentSize }: Inventory, name: WalName): boolean {
  const objects = timelines.get(name.timeline);
  if (objects === undefined || name.kind === 'history') return false;
  if (name.kind !== 'segment') return objects.beside.some((side) => side.name.name === name.name);
  const number = segmentNumber(name, segmentSize);
  return number !== undefined && objects.segments.indexOf(number) !== undefined;
}

function sum(amounts: readonly Amount[]): Amount {
  return amounts.reduce((all, { count, bytes }) => ({ count: all.count + count, bytes: all.bytes + bytes }), NOTHING);
}

function minus(all: Amount, part: Amount): Amount {
  return { count: all.count - part.count, bytes: all.bytes - part.bytes };
}

function understood(error: unknown): StorageError | Failure {
  if (error instanceof StorageError || error instanceof Failure) return error;
  throw error;
}
