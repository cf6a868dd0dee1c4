/**
 * The graph of timelines that the history files of an archive draw. It is read as the server reads it
 * (readTimeLineHistory, tliOfPointInHistory and XLogFileReadAnyTLI in timeline.c and xlogrecovery.c).
 */
import { Failure } from '../exit.ts';
import { WalFormatError } from '../wal/error.ts';
import { parseHistory, type HistoryEntry } from '../wal/history.ts';
import { formatLsn, toLsn, type Lsn } from '../wal/lsn.ts';
import { formatTimeline, toTimelineId, type TimelineId } from '../wal/name.ts';

/** A history file of the archive, opened. */
export interface HistoryFile {
  readonly timeline: TimelineId;
  readonly text: string;
}

/** A stretch of WAL on one timeline. */
export interface Span {
  readonly timeline: TimelineId;
  readonly begin: Lsn;
  /** Exclusive; undefined: it is open. */
  readonly end: Lsn | undefined;
}

export interface Timeline {
  readonly id: TimelineId;
  /**
   * The way of a recovery to this timeline: stretches of its ancestors, oldest first, without a gap, and last its own.
   * Ancestors that a history names but that recovery never reads are not in it: a PITR to before the fork of its own
   * target timeline names that timeline as parent, with an end before its begin.
   */
  readonly spans: readonly Span[];
  /** What it really forked from, and where; undefined for a root. */
  readonly parent: { readonly timeline: TimelineId; readonly fork: Lsn } | undefined;
  /** All that lead over this timeline, children and theirs, in ascending order, with the LSN where they leave it. */
  readonly descendants: readonly { readonly timeline: TimelineId; readonly fork: Lsn }[];
}

export type Timelines = ReadonlyMap<TimelineId, Timeline>;

/** What a history says of a timeline: its ancestors, and which file says so. */
interface Ancestry {
  readonly entries: readonly HistoryEntry[];
  readonly source: string;
}

const START: Lsn = toLsn(0n);

/**
 * Makes the graph of all timelines that are known: those of the history files, those that they name, and those that
 * the archive's segments show (`seen`). A timeline that a younger one's history names needs no file of its own: a
 * history holds that of its parent. One that nothing tells of is a root if it is the lowest known one: the cluster had
 * it when the archive began. Errors: Failure `invalid` for a history that can't be read, for two that contradict each
 * other, and for a timeline whose history is missing.
 */
export function buildTimelines(histories: readonly HistoryFile[], seen: Iterable<TimelineId>): Timelines {
  const ancestries = new Map<TimelineId, Ancestry>();
  for (const file of histories.toSorted((a, b) => a.timeline - b.timeline)) addHistory(file, ancestries);
  addUntold(seen, ancestries);
  const spans = [...ancestries]
    .sort(([a], [b]) => a - b)
    .map(([id, { entries }]): [TimelineId, Span[]] => [id, spansOf(id, entries)]);
  const descendants = new Map(spans.map(([id]): [TimelineId, { timeline: TimelineId; fork: Lsn }[]] => [id, []]));
  for (const [id, way] of spans) {
    for (const { timeline, end } of way)
      if (end !== undefined) descendants.get(timeline)?.push({ timeline: id, fork: end });
  }
  return new Map(
    spans.map(([id, way]): [TimelineId, Timeline] => {
      const before = way.at(-2);
      const parent = before?.end === undefined ? undefined : { timeline: before.timeline, fork: before.end };
      return [id, { id, spans: way, parent, descendants: descendants.get(id) ?? [] }];
    }),
  );
}

/** The timeline that a recovery to `timeline` is on at `lsn`. */
export function timelineAt(timeline: Timeline, lsn: Lsn): TimelineId {
  return timeline.spans.find(({ end }) => end === undefined || lsn < end)?.timeline ?? timeline.id;
}

/** Where `timeline` begins to be itself; 0 for a root. */
export function beginOf(timeline: Timeline): Lsn {
  return timeline.parent?.fork ?? START;
}

function addHistory({ timeline, text }: HistoryFile, ancestries: Map<TimelineId, Ancestry>): void {
  const source = `${formatTimeline(timeline)}.history`;
  const entries = readHistory(source, text);
  const last = entries.at(-1);
  if (last === undefined || last.timeline >= timeline) {
    const fact =
      last === undefined ? 'names no parent' : `names timeline ${last.timeline} as an ancestor of timeline ${timeline}`;
    throw new Failure('invalid', `${source} ${fact}`, { hint: WRONG_HISTORY });
  }
  for (const [index, entry] of entries.entries())
    add(entry.timeline, { entries: entries.slice(0, index), source }, ancestries);
  add(timeline, { entries, source }, ancestries);
}

const WRONG_HISTORY =
  'Nothing is deleted while it is unclear which WAL belongs together. Compare the file with the one in pg_wal of a server ' +
  'on that timeline, and with the archive of another copy of this cluster.';

function readHistory(source: string, text: string): HistoryEntry[] {
  try {
    return parseHistory(text);
  } catch (error) {
    if (!(error instanceof WalFormatError)) throw error;
    throw new Failure('invalid', `${source} can't be read: ${error.message}`, { hint: WRONG_HISTORY, cause: error });
  }
}

function add(timeline: TimelineId, told: Ancestry, ancestries: Map<TimelineId, Ancestry>): void {
  const known = ancestries.get(timeline);
  if (known === undefined) ancestries.set(timeline, told);
  else if (show(known.entries) !== show(told.entries)) {
    throw new Failure(
      'invalid',
      `${known.source} and ${told.source} contradict each other: timeline ${timeline} came from ${show(known.entries)}, or from ${show(told.entries)}`,
      { hint: WRONG_HISTORY },
    );
  }
}

function show(entries: readonly HistoryEntry[]): string {
  return entries.map(({ timeline, end }) => `${timeline} until ${formatLsn(end)}`).join(', ') || 'none';
}

/** Timelines that no history tells of. */
function addUntold(seen: Iterable<TimelineId>, ancestries: Map<TimelineId, Ancestry>): void {
  const untold = [...new Set(seen)].filter((timeline) => !ancestries.has(timeline));
  const lowest = Math.min(...untold, ...ancestries.keys());
  for (const timeline of untold.sort((a, b) => a - b)) {
    if (timeline > lowest) {
      const file = `${formatTimeline(timeline)}.history`;
      throw new Failure('invalid', `the archive holds WAL of timeline ${timeline}, and of lower ones, but no ${file}`, {
        hint:
          'Without it nobody can tell which WAL this timeline goes on from, so nothing is deleted. ' +
          `Push ${file} from pg_wal of any server that is on that timeline.`,
      });
    }
    ancestries.set(timeline, { entries: [], source: 'the lowest timeline of the archive' });
  }
}

/** As tliOfPointInHistory looks for a point: the newest timeline first that had begun by then. */
function spansOf(id: TimelineId, entries: readonly HistoryEntry[]): Span[] {
  const spans: Span[] = [];
  let end: Lsn | undefined;
  for (let index = entries.length; index >= 0; index -= 1) {
    const timeline = entries[index]?.timeline ?? id;
    const begin = entries[index - 1]?.end ?? START;
    if (end !== undefined && begin >= end) continue;
    spans.unshift({ timeline, begin, end });
    end = begin;
  }
  return spans;
}

/** Takes a number of a backup's files for a timeline of the graph; undefined where the archive knows none such. */
export function findTimeline(timelines: Timelines, id: number): Timeline | undefined {
  const timeline = toTimelineId(id);
  return timeline && timelines.get(timeline);
}
