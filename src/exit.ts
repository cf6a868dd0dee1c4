/**
 * Every status that this program ends with, in one table.
 *
 * PostgreSQL deletes its only copy of a WAL file after a 0 from archive_command, and takes 1..125 from
 * restore_command for 'that file does not exist' (pgarch.c, xlogarchive.c). So 0 and 1 are never said by the
 * program itself: it says `DONE` and `ABSENT`, and the launcher alone turns these into 0 and 1.
 */

/** Program to launcher: the work is done. The launcher makes it 0. */
export const DONE = 222;
/** Program to launcher: the file is proven absent (or wal-prune found something wrong). The launcher makes it 1. */
export const ABSENT = 223;
/** The program was started for the server without its launcher. */
export const NO_LAUNCHER = 221;
/** An operator command, which has no launcher, did what it was asked to do. */
const OPERATOR_DONE = 0;
/** An operator command looked, and found something wrong. */
const FOUND_WRONG = 1;
/** Said by a program whose launcher or server is gone: only an adopting PID 1 reads it, and a postmaster there takes it calmly. */
export const ORPHANED = 1;

/**
 * Who reads the status: the archiver (and operators), a recovery that must stop at a failure, or a standby that
 * must live through it.
 */
export type Column = 'push' | 'strict' | 'standby';

/** What can go wrong, one name for each row of the table. */
export type FailureKind =
  'bug' | 'usage' | 'unreachable' | 'denied' | 'invalid' | 'different' | 'damaged' | 'no-key' | 'unwritable' | 'gap';

type Row = Readonly<Record<Column, number>>;

/** The table. A `gap` on a standby is an absence like any other: streaming may have what the archive lacks. */
export const STATUS: Readonly<Record<FailureKind, Row>> = {
  bug: { push: 70, strict: 200, standby: 70 },
  usage: { push: 64, strict: 201, standby: 64 },
  unreachable: { push: 69, strict: 202, standby: 69 },
  denied: { push: 77, strict: 203, standby: 77 },
  /** The file at PATH is not what it claims to be; an object is corrupt; no trusted key signed it. */
  invalid: { push: 65, strict: 204, standby: 65 },
  /** The archive holds a different file of that name. Only a push can meet it; the others stand for a bug. */
  different: { push: 73, strict: 200, standby: 70 },
  /** What lies in the archive after, or instead of, our upload is corrupt. */
  damaged: { push: 74, strict: 200, standby: 70 },
  'no-key': { push: 78, strict: 205, standby: 78 },
  unwritable: { push: 75, strict: 206, standby: 75 },
  gap: { push: 70, strict: 207, standby: ABSENT },
};

/** What the server runs, and wal-prune: only ever through their launchers. */
export const LAUNCHED_VERBS = ['wal-push', 'wal-fetch', 'wal-prune'] as const;
export type LaunchedVerb = (typeof LAUNCHED_VERBS)[number];

/** How a command ends when nothing failed: a failure is thrown. */
export type Outcome = 'done' | 'absent' | 'found-wrong';

const OUTCOME_STATUS: Readonly<Record<LaunchedVerb, Readonly<Partial<Record<Outcome, number>>>>> = {
  'wal-push': { done: DONE },
  'wal-fetch': { done: DONE, absent: ABSENT },
  'wal-prune': { done: DONE, 'found-wrong': ABSENT },
};
const OPERATOR_STATUS: Readonly<Partial<Record<Outcome, number>>> = { done: OPERATOR_DONE, 'found-wrong': FOUND_WRONG };

/** The verb, if it is one that runs through a launcher; operator commands have none. */
export function launchedVerb(word: string | undefined): LaunchedVerb | undefined {
  return LAUNCHED_VERBS.find((verb) => verb === word);
}

/** What the program says of a bug. The launcher of wal-fetch turns the strict answer into the standby's where it must. */
export function bugStatus(verb: LaunchedVerb | undefined): number {
  return STATUS.bug[verb === 'wal-fetch' ? 'strict' : 'push'];
}

/** What the program says of an outcome; one that the verb does not know is a bug. */
export function outcomeStatus(verb: LaunchedVerb | undefined, outcome: Outcome): number {
  const row = verb === undefined ? OPERATOR_STATUS : OUTCOME_STATUS[verb];
  return row[outcome] ?? bugStatus(verb);
}

/** The order in which the failures of several archives decide the status of a push. */
export const PUSH_PRECEDENCE: readonly FailureKind[] = [
  'different',
  'damaged',
  'invalid',
  'denied',
  'usage',
  'unwritable',
  'unreachable',
];

/**
 * A failure that the program understands: a fact in lower case with names and values, and a hint that says what
 * to do. Anything else that is thrown is a bug.
 */
export class Failure extends Error {
  override readonly name = 'Failure';
  readonly kind: FailureKind;
  /** What the operator can do about it, in full sentences; empty where the fact says it all. */
  readonly hint: string;

  constructor(kind: FailureKind, fact: string, options: { hint?: string; cause?: unknown } = {}) {
    super(fact, { cause: options.cause });
    this.kind = kind;
    this.hint = options.hint ?? '';
  }
}

/** The code of a failed system call, such as `ENOENT`; undefined for any other error. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
