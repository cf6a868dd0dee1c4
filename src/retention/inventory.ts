/** What an archive holds of one cluster, read from a listing, in a form that holds millions of objects. */
import { Failure } from '../exit.ts';
import { compareKeys } from '../storage/order.ts';
import type { ListedObject } from '../storage/storage.ts';
import type { SystemId } from '../wal/control.ts';
import { parseKey, systemPrefix, walPrefix } from '../wal/keys.ts';
import {
  toTimelineId,
  type BackupName,
  type HistoryName,
  type PartialName,
  type SegmentPosition,
  type SegmentSize,
  type TimelineId,
  type WalName,
} from '../wal/name.ts';
import { readSegmentKey, type SegmentKey } from './segment-key.ts';
import { SegmentList } from './segment-list.ts';
import { segmentNumber } from './segment-number.ts';
import { KeyTally, type NamedKeys } from './untouched.ts';

/** A `.backup` or `.partial` object; there are few. */
export interface SideObject {
  readonly name: BackupName | PartialName;
  /** The segment that it belongs to. */
  readonly number: number;
  readonly bytes: number;
  /** Milliseconds since 1970. */
  readonly modifiedMs: number;
}

/** What the archive holds of one timeline. */
export interface TimelineObjects {
  readonly segments: SegmentList;
  /** In the order of their segments, then of their names. */
  readonly beside: readonly SideObject[];
}

/** A history file as the listing shows it. */
export interface HistoryObject {
  readonly name: HistoryName;
  readonly bytes: number;
  readonly modifiedMs: number;
}

/** What is never touched, by the reason. */
export interface Untouched {
  /** Other keys, below the cluster's prefix or outside of any cluster's. */
  readonly unknown: NamedKeys;
  /** What `set-aside` has put away. */
  readonly aside: NamedKeys;
  /** Temporary files of a directory. */
  readonly temporary: NamedKeys;
  /** Objects of other clusters, by their system identifiers. */
  readonly otherSystems: ReadonlyMap<SystemId, NamedKeys>;
}

export interface Inventory {
  readonly systemId: SystemId;
  readonly segmentSize: SegmentSize;
  /** In ascending order. */
  readonly timelines: ReadonlyMap<TimelineId, TimelineObjects>;
  /** In ascending order. */
  readonly histories: readonly HistoryObject[];
  readonly untouched: Untouched;
}

export interface InventoryOptions {
  /** The cluster; undefined: the only one that is there. */
  readonly systemId: SystemId | undefined;
  readonly segmentSize: SegmentSize;
}

const TEMPORARY = 'tmp/';
/** What sealing can add to a segment that does not compress: the header's 64 KiB, 16 bytes for each 64 KiB, frames. */
const SEALING_BYTES = 128 * 1024;
const SEALING_PART = 1 / 64;

/**
 * Reads a listing of the whole archive, a page at a time, in any order. Errors: what the listing throws; Failure
 * `usage` where several clusters are there and none was chosen; Failure `invalid` for an object that segments of this
 * size can't explain.
 */
export async function takeInventory(
  pages: AsyncIterable<readonly ListedObject[]>,
  options: InventoryOptions,
): Promise<Inventory> {
  const stock = new StockTaking(options);
  for await (const page of pages) for (const object of page) stock.add(object);
  return stock.inventory();
}

interface Growing {
  readonly segments: SegmentList;
  readonly beside: Map<string, SideObject>;
}

class StockTaking {
  readonly #size: SegmentSize;
  readonly #isChosen: boolean;
  #systemId: SystemId | undefined;
  #prefix: string | undefined;
  #walPrefix: string | undefined;
  readonly #segmentKey: SegmentKey = { timeline: 0, log: 0, seg: 0 };
  readonly #timelines = new Map<TimelineId, Growing>();
  readonly #histories = new Map<TimelineId, HistoryObject>();
  readonly #unknown = new KeyTally();
  readonly #aside = new KeyTally();
  readonly #temporary = new KeyTally();
  readonly #others = new Map<SystemId, KeyTally>();

  constructor({ systemId, segmentSize }: InventoryOptions) {
    this.#size = segmentSize;
    this.#isChosen = systemId !== undefined;
    this.#choose(systemId);
  }

  add(object: ListedObject): void {
    const { key, size } = object;
    if (this.#walPrefix !== undefined && readSegmentKey(key, this.#walPrefix, this.#segmentKey)) {
      this.#addSegment(object);
      return;
    }
    const parsed = parseKey(key);
    if (parsed === undefined) {
      (key.startsWith(TEMPORARY) ? this.#temporary : this.#unknown).add(key, size);
      return;
    }
    if (this.#systemId === undefined) this.#choose(parsed.system);
    if (this.#prefix === undefined || !key.startsWith(this.#prefix)) this.#addOther(parsed.system, object);
    else if (parsed.place === 'aside') this.#aside.add(key, size);
    else this.#addFile(parsed.name, object);
  }

  inventory(): Inventory {
    if (!this.#isChosen && this.#others.size > 0) this.#refuseToChoose();
    if (this.#systemId === undefined) {
      throw new Failure('usage', 'the archive holds no WAL of any cluster', {
        hint: 'A wrong URL or prefix, or a disk that is not mounted, looks just so.',
      });
    }
    return {
      systemId: this.#systemId,
      segmentSize: this.#size,
      timelines: new Map([...this.#timelines].sort(([a], [b]) => a - b).map(([id, each]) => [id, finish(each)])),
      histories: [...this.#histories.values()].sort((a, b) => a.name.timeline - b.name.timeline),
      untouched: {
        unknown: this.#unknown.named(),
        aside: this.#aside.named(),
        temporary: this.#temporary.named(),
        otherSystems: new Map([...this.#others].sort().map(([id, tally]) => [id, tally.named()])),
      },
    };
  }

  #choose(systemId: SystemId | undefined): void {
    this.#systemId = systemId;
    this.#prefix = systemId && systemPrefix(systemId);
    this.#walPrefix = systemId && walPrefix(systemId);
  }

  #addOther(system: SystemId, { key, size }: ListedObject): void {
    let tally = this.#others.get(system);
    if (tally === undefined) this.#others.set(system, (tally = new KeyTally()));
    tally.add(key, size);
  }

  #addFile(name: WalName, { key, size, modified }: ListedObject): void {
    const modifiedMs = this.#timeOf(key, modified);
    if (name.kind === 'history') {
      this.#histories.set(name.timeline, { name, bytes: size, modifiedMs });
      return;
    }
    const number = this.#numberOf(name, key, size);
    const { segments, beside } = this.#timeline(name.timeline);
    if (name.kind === 'segment') segments.add(number, size, modifiedMs);
    else beside.set(name.name, { name, number, bytes: size, modifiedMs });
  }

  #addSegment({ key, size, modified }: ListedObject): void {
    const timeline = toTimelineId(this.#segmentKey.timeline);
    if (timeline === undefined) throw new RangeError(`${key} has no timeline`);
    const number = this.#numberOf(this.#segmentKey, key, size);
    this.#timeline(timeline).segments.add(number, size, this.#timeOf(key, modified));
  }

  #timeOf(key: string, modified: Date): number {
    const ms = modified.getTime();
    if (Number.isFinite(ms)) return ms;
    throw new Failure('invalid', `the store tells no time of ${key}`, { hint: 'Without its age nothing is deleted.' });
  }

  #numberOf(position: SegmentPosition, key: string, bytes: number): number {
    const number = segmentNumber(position, this.#size);
    if (number === undefined) throw this.#twoSizes(`${key} can't be the key of`);
    if (bytes > this.#size * (1 + SEALING_PART) + SEALING_BYTES) {
      throw this.#twoSizes(`${key} has ${bytes} bytes, too many for`);
    }
    return number;
  }

  #twoSizes(fact: string): Failure {
    return new Failure('invalid', `${fact} a segment of ${this.#size / 2 ** 20} MB`, {
      hint:
        'The archive holds segments of two sizes (pg_resetwal --wal-segsize keeps the cluster and its names), or the size is wrong. ' +
        'Nothing is deleted: a name does not tell which size it is of.',
    });
  }

  #timeline(id: TimelineId): Growing {
    let timeline = this.#timelines.get(id);
    if (timeline === undefined)
      this.#timelines.set(id, (timeline = { segments: new SegmentList(), beside: new Map() }));
    return timeline;
  }

  #refuseToChoose(): never {
    const all = [this.#systemId, ...this.#others.keys()].sort().join(', ');
    throw new Failure('usage', `the archive holds several clusters: ${all}`, { hint: 'Choose one with --system-id.' });
  }
}

function finish({ segments, beside }: Growing): TimelineObjects {
  segments.sort();
  const inOrder = [...beside.values()].sort((a, b) =>
    a.number === b.number ? compareKeys(a.name.name, b.name.name) : a.number - b.number,
  );
  return { segments, beside: inOrder };
}
