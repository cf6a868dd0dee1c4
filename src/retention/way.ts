/**
 * The files that a recovery reads on its way to a timeline. The server asks for each segment under the newest timeline
 * of the way that has begun by that segment (XLogFileReadAnyTLI in xlogrecovery.c): the segment of a switch is read
 * from the child. Where that file is absent it takes an older timeline's, which goes on behind the fork with what the
 * child never had: so only the right file counts here.
 */
import type { SegmentSize, TimelineId } from '../wal/name.ts';
import type { Inventory, TimelineObjects } from './inventory.ts';
import { nameOf, numberAt } from './segment-number.ts';
import type { Timeline } from './timelines.ts';

/** Segments of a way that are read from one timeline. */
export interface Leg {
  readonly timeline: TimelineId;
  readonly first: number;
  /** Exclusive; Infinity on the last leg. */
  readonly end: number;
}

/** A segment on a way. */
export interface Step {
  readonly timeline: TimelineId;
  readonly number: number;
}

/** The legs of the way to a timeline, oldest first. An ancestor that was left in the segment that it began in has none. */
export function legsOf(timeline: Timeline, size: SegmentSize): Leg[] {
  const { spans } = timeline;
  return spans
    .map(({ timeline: id, begin }, index) => {
      const next = spans[index + 1];
      return { timeline: id, first: numberAt(begin, size), end: next ? numberAt(next.begin, size) : Infinity };
    })
    .filter(({ first, end }) => first < end);
}

/** The archive's segments, or what a plan leaves of them. */
export class ArchivedWal {
  readonly #timelines: ReadonlyMap<TimelineId, TimelineObjects>;
  readonly #size: SegmentSize;
  readonly #cuts: ReadonlyMap<TimelineId, number>;

  /** `cuts`: segments of a timeline below this number are taken for gone. */
  constructor({ timelines, segmentSize }: Inventory, cuts: ReadonlyMap<TimelineId, number> = new Map()) {
    this.#timelines = timelines;
    this.#size = segmentSize;
    this.#cuts = cuts;
  }

  /**
   * Follows a way from the segment `from` on as long as its files are there, or among a backup's `own`. Gives the
   * first segment that is not.
   */
  follow(legs: readonly Leg[], from: number, own: ReadonlySet<string>): Step {
    let number = from;
    for (const { timeline, end } of legs) {
      while (number < end) {
        const next = Math.min(this.#runEnd(timeline, number), end);
        if (next > number) number = next;
        else if (own.size > 0 && own.has(nameOf(timeline, number, this.#size).name)) number += 1;
        else return { timeline, number };
      }
    }
    throw new RangeError('a way has no end');
  }

  /** The first segment of a way from `from` on that is there. */
  firstFrom(legs: readonly Leg[], from: number): Step | undefined {
    for (const { timeline, first, end } of legs) {
      if (end <= from) continue;
      const segments = this.#timelines.get(timeline)?.segments;
      const index = segments?.indexFrom(Math.max(first, from, this.#cut(timeline)));
      if (segments === undefined || index === undefined || index === segments.count) continue;
      const number = segments.numberAt(index);
      if (number < end) return { timeline, number };
    }
    return undefined;
  }

  /** When a segment was archived, in milliseconds since 1970; undefined where it is not there. */
  modifiedMs({ timeline, number }: Step): number | undefined {
    const segments = this.#timelines.get(timeline)?.segments;
    const index = number < this.#cut(timeline) ? undefined : segments?.indexOf(number);
    return index === undefined ? undefined : segments?.modifiedAt(index);
  }

  #runEnd(timeline: TimelineId, number: number): number {
    if (number < this.#cut(timeline)) return number;
    return this.#timelines.get(timeline)?.segments.runEnd(number) ?? number;
  }

  #cut(timeline: TimelineId): number {
    return this.#cuts.get(timeline) ?? 0;
  }
}

/** The timeline that a way reads a segment from. */
export function legAt(legs: readonly Leg[], number: number): TimelineId | undefined {
  return legs.find(({ end }) => number < end)?.timeline;
}
