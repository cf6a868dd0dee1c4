/**
 * The order in which WAL goes, so that an interruption leaves an archive that is shorter and has no new hole. On every
 * way through the archive what goes is the oldest part, and it goes from its oldest end on.
 */
import { objectKey } from '../wal/keys.ts';
import type { Lsn } from '../wal/lsn.ts';
import type { SegmentSize, TimelineId, WalName } from '../wal/name.ts';
import type { Inventory, TimelineObjects } from './inventory.ts';
import { nameOf, numberBefore } from './segment-number.ts';
import type { Timelines } from './timelines.ts';

/** A stretch of one timeline, by segment numbers. */
export interface Stretch {
  readonly timeline: TimelineId;
  readonly from: number;
  /** Exclusive; Infinity where all of the timeline goes. */
  readonly to: number;
}

/** One object that goes. */
export interface Doomed {
  readonly key: string;
  readonly name: WalName;
  readonly bytes: number;
}

/**
 * Puts in order what lies below `cuts`. A timeline goes up to the segment of a fork, then the fork's child goes whole,
 * then the rest. Were the child to go first, a backup from before the fork could still be restored, and a recovery to
 * the child would silently follow the parent past the fork. With the segment of the fork gone, no such backup starts.
 */
export function inOrder(timelines: Timelines, cuts: ReadonlyMap<TimelineId, number>, size: SegmentSize): Stretch[] {
  const stretches: Stretch[] = [];
  const children = Map.groupBy(timelines.values(), ({ parent }) => parent?.timeline);
  const walk = (id: TimelineId): void => {
    const cut = cuts.get(id) ?? 0;
    let from = 0;
    const goTo = (to: number): void => {
      if (Math.min(to, cut) > from) stretches.push({ timeline: id, from, to: Math.min(to, cut) });
      from = Math.max(from, to);
    };
    const forks = (children.get(id) ?? []).map((child) => ({ id: child.id, split: splitOf(child.parent?.fork, size) }));
    for (const fork of forks.sort((a, b) => (a.split === b.split ? a.id - b.id : a.split - b.split))) {
      goTo(fork.split + 1);
      walk(fork.id);
    }
    goTo(Infinity);
  };
  for (const root of children.get(undefined) ?? []) walk(root.id);
  return stretches;
}

/** The objects of a stretch, oldest first. */
export function* objectsOf(stretch: Stretch, { timelines, systemId, segmentSize }: Inventory): Generator<Doomed> {
  const objects = timelines.get(stretch.timeline);
  if (objects === undefined) return;
  const { segments } = objects;
  const beside = besideIn(stretch, objects)[Symbol.iterator]();
  let next = beside.next();
  const end = segments.indexFrom(stretch.to);
  for (let index = segments.indexFrom(stretch.from); index <= end; index += 1) {
    const number = index < end ? segments.numberAt(index) : Infinity;
    for (; next.done !== true && next.value.number <= number; next = beside.next()) {
      const { name, bytes } = next.value;
      yield { key: objectKey(systemId, name), name, bytes };
    }
    if (index === end) return;
    const name = nameOf(stretch.timeline, number, segmentSize);
    yield { key: objectKey(systemId, name), name, bytes: segments.bytesAt(index) };
  }
}

/** The numbers of the first and the last segment of a stretch that has an object; undefined where there is none. */
export function extentOf(stretch: Stretch, { timelines }: Inventory): readonly [number, number] | undefined {
  const objects = timelines.get(stretch.timeline);
  if (objects === undefined) return undefined;
  const { segments } = objects;
  const [from, to] = [segments.indexFrom(stretch.from), segments.indexFrom(stretch.to)];
  const beside = besideIn(stretch, objects);
  const ends = [beside.at(0)?.number, beside.at(-1)?.number].filter((number) => number !== undefined);
  if (from < to) ends.push(segments.numberAt(from), segments.numberAt(to - 1));
  return ends.length === 0 ? undefined : [Math.min(...ends), Math.max(...ends)];
}

/** How many objects a stretch has, and how large they are. */
export function measure(
  stretch: Stretch,
  { timelines }: Inventory,
): { readonly count: number; readonly bytes: number } {
  const objects = timelines.get(stretch.timeline);
  if (objects === undefined) return { count: 0, bytes: 0 };
  const { segments } = objects;
  const [first, end] = [segments.indexFrom(stretch.from), segments.indexFrom(stretch.to)];
  const beside = besideIn(stretch, objects);
  const bytes = beside.reduce((sum, side) => sum + side.bytes, segments.bytesBetween(first, end));
  return { count: end - first + beside.length, bytes };
}

function besideIn({ from, to }: Stretch, { beside }: TimelineObjects): TimelineObjects['beside'] {
  return beside.filter(({ number }) => number >= from && number < to);
}

function splitOf(fork: Lsn | undefined, size: SegmentSize): number {
  return fork === undefined ? 0 : numberBefore(fork, size);
}
