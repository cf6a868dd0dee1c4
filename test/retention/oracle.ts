/**
 * What a server would make of an archive, segment by segment, written from the server's source (readTimeLineHistory,
 * tliOfPointInHistory, XLogFileReadAnyTLI) and from nothing of ours: it parses histories by itself and knows files by
 * their names only. It is slow, and right.
 */
import type { BaseBackup } from '../../src/retention/base-backup.ts';
import { nameAt, type Remains } from './life.ts';

const SIZE = 2n ** 24n;

interface Entry {
  readonly timeline: number;
  readonly begin: bigint;
  /** Exclusive; 0: open, as the server says it. */
  readonly end: bigint;
}

/** The history of a timeline as the server keeps it: the newest entry first. */
export function historyOf(timeline: number, histories: Remains['histories']): Entry[] {
  const entries: Entry[] = [];
  let begin = 0n;
  for (const line of (histories.get(timeline) ?? '').split('\n')) {
    const [, id, high, low] = /^(\d+)\t([0-9A-F]+)\/([0-9A-F]+)\t/.exec(line) ?? [];
    if (id === undefined) continue;
    const end = (BigInt(`0x${high ?? ''}`) << 32n) + BigInt(`0x${low ?? ''}`);
    entries.unshift({ timeline: Number(id), begin, end });
    begin = end;
  }
  entries.unshift({ timeline, begin, end: 0n });
  return entries;
}

function timelineOfPoint(point: bigint, history: readonly Entry[]): number | undefined {
  return history.find(({ begin, end }) => begin <= point && (end === 0n || point < end))?.timeline;
}

/** What is in an archive. */
export class Left {
  readonly #names: ReadonlySet<string>;
  readonly #newest = new Map<string, string>();

  constructor(names: Iterable<string>) {
    this.#names = new Set(names);
    for (const name of this.#names) {
      const timeline = name.slice(0, 8);
      if (name.length === 24 && name > (this.#newest.get(timeline) ?? '')) this.#newest.set(timeline, name);
    }
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** Whether a later segment of the same timeline is there: then wal-fetch does not call this one absent, but missing. */
  hasLater(name: string): boolean {
    return name < (this.#newest.get(name.slice(0, 8)) ?? '');
  }
}

/** What a recovery comes to. */
export interface Recovery {
  /** Every segment of the target's own way that it has replayed, as `timeline/number`. */
  readonly moments: ReadonlySet<string>;
  /** It became consistent, by the right WAL. */
  readonly isConsistent: boolean;
  /** It read, or would have read, a file that goes on where the target's way does not. */
  readonly isLedAstray: boolean;
  /** wal-fetch has ended the server over a gap, before it took an older timeline's file or this for the end. */
  readonly isStopped: boolean;
}

/** Whether a recovery ends in an open database, for better or worse. */
export function opens({ isConsistent, isLedAstray, isStopped }: Recovery): boolean {
  return (isConsistent || isLedAstray) && !isStopped;
}

/** Restores `backup` and recovers to the end of `target`. */
export function recover(backup: BaseBackup, target: number, histories: Remains['histories'], left: Left): Recovery {
  const history = historyOf(target, histories);
  const moments = new Set<string>();
  const nothing = { moments, isConsistent: false, isLedAstray: false, isStopped: false };
  // 'requested timeline is not a child of this server's history', and '... does not contain minimum recovery point'
  if (timelineOfPoint(backup.start.lsn, history) !== backup.start.timeline) return nothing;
  if (timelineOfPoint(backup.stop.lsn - 1n, history) !== backup.stop.timeline) return nothing;
  let currentTimeline = 0;
  let reached = 0n;
  for (let number = backup.start.lsn / SIZE; ; number += 1n) {
    const asked = history.filter(
      ({ timeline, begin }) => timeline >= currentTimeline && (begin === 0n || number >= begin / SIZE),
    );
    const isHere = (name: string): boolean => left.has(name) || backup.ownWal.has(name);
    const file = asked.find(({ timeline }) => isHere(nameAt(timeline, number)));
    const missed = asked.slice(0, file ? asked.indexOf(file) : asked.length);
    const isStopped = missed.some(({ timeline }) => left.hasLater(nameAt(timeline, number)));
    const isConsistent = reached >= backup.stop.lsn;
    // 'could not locate required checkpoint record': an older timeline's file has none at that place.
    if (reached === 0n && file !== undefined && file.timeline < backup.start.timeline) return nothing;
    if (file === undefined) return { moments, isConsistent, isLedAstray: false, isStopped };
    // A file holds the WAL of its own timeline up to its end: the target must be on that timeline there.
    const atEnd = timelineOfPoint((number + 1n) * SIZE - 1n, history);
    if (file.timeline !== atEnd) return { moments, isConsistent, isLedAstray: true, isStopped };
    currentTimeline = file.timeline;
    reached = (number + 1n) * SIZE;
    moments.add(`${file.timeline}/${number}`);
  }
}

/** All that a backup can be brought to, on any timeline. */
export function recoveries(backup: BaseBackup, remains: Remains, left: Left): Map<number, Recovery> {
  const names = [...remains.objects.keys()].map((name) => parseInt(name.slice(0, 8), 16));
  const timelines = new Set([...names, ...remains.histories.keys(), backup.stop.timeline]);
  return new Map([...timelines].map((target) => [target, recover(backup, target, remains.histories, left)]));
}

/** The segments of the way to a timeline that are there, in order, each as its number. */
export function wayNumbers(target: number, remains: Remains, left: Left): bigint[] {
  const history = historyOf(target, remains.histories);
  const numbers = [...remains.objects.keys()].filter((name) => name.length === 24).map(numberOf);
  const [first, last] = [
    numbers.reduce((a, b) => (a < b ? a : b), 2n ** 60n),
    numbers.reduce((a, b) => (a > b ? a : b), 0n),
  ];
  const found: bigint[] = [];
  for (let number = first; number <= last; number += 1n) {
    const timeline = timelineOfPoint((number + 1n) * SIZE - 1n, history);
    if (timeline !== undefined && left.has(nameAt(timeline, number))) found.push(number);
  }
  return found;
}

export function numberOf(name: string): bigint {
  return BigInt(`0x${name.slice(8, 16)}`) * 256n + BigInt(`0x${name.slice(16, 24)}`);
}
