import { WalFormatError } from './error.ts';
import { parseLsn, type Lsn } from './lsn.ts';
import { toTimelineId, type TimelineId } from './name.ts';

/** One line of a timeline's history: an ancestor, and where it was left. */
export interface HistoryEntry {
  readonly timeline: TimelineId;
  /** The first byte that does not belong to this timeline any more. */
  readonly end: Lsn;
  /** Why, in the server's words, such as `no recovery target specified`. */
  readonly reason: string;
}

/** What the server reads as an entry: sscanf("%u\t%X/%X"), the rest of the line is ignored (timeline.c). */
const ENTRY = /^\s*(\d+)\s+([0-9A-Fa-f]{1,8}\/[0-9A-Fa-f]{1,8})(?![0-9A-Fa-f])\s*([^]*)$/;
/** The only reason with words that a user chose: they can hold newlines. */
const RESTORE_POINT = 'at restore point "';

/**
 * Reads a history file: the ancestors of a timeline, oldest first. Lines are read as the server reads them
 * (readTimeLineHistory in timeline.c): blank lines and those that start with # say nothing, every other line is an
 * entry, timelines ascend. One leniency: below a reason that quotes the name of a restore point, lines that are no
 * entry are the rest of that name. Errors: WalFormatError.
 */
export function parseHistory(text: string): HistoryEntry[] {
  const entries: HistoryEntry[] = [];
  for (const line of text.split('\n')) {
    const entry = parseEntry(line);
    const last = entries.at(-1);
    if (entry !== undefined) {
      if (last !== undefined) checkOrder(last, entry);
      entries.push(entry);
    } else if (last?.reason.startsWith(RESTORE_POINT)) {
      entries[entries.length - 1] = { ...last, reason: `${last.reason}\n${line}` };
    } else if (!/^\s*(#|$)/.test(line)) {
      throw new WalFormatError(`"${line}" in a history file is not a timeline and where it ended`);
    }
  }
  return entries.map((entry) => ({ ...entry, reason: entry.reason.trimEnd() }));
}

function parseEntry(line: string): HistoryEntry | undefined {
  const [, digits, end, reason] = ENTRY.exec(line) ?? [];
  if (digits === undefined || end === undefined || reason === undefined) return undefined;
  const timeline = toTimelineId(Number(digits));
  if (timeline === undefined) throw new WalFormatError(`"${line}" in a history file names no timeline`);
  return { timeline, end: parseLsn(end), reason };
}

function checkOrder(earlier: HistoryEntry, later: HistoryEntry): void {
  if (later.timeline <= earlier.timeline) {
    throw new WalFormatError(`timeline ${later.timeline} follows timeline ${earlier.timeline} in a history file`);
  }
}
