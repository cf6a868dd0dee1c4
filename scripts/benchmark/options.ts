import { parseArgs } from 'node:util';

import { CONTESTANTS } from './contestants/all.ts';

export const PARTS = ['start', 'single', 'hand-over', 'backlog', 'drain', 'recovery'] as const;
export const STORES = ['file', 'minio'] as const;
export type Part = (typeof PARTS)[number];

export interface Options {
  readonly parts: ReadonlySet<Part>;
  readonly stores: ReadonlySet<(typeof STORES)[number]>;
  /** Added to each round trip to MinIO, ms. */
  readonly latencies: readonly number[];
  readonly segments: number;
  /** Of drains and recoveries. */
  readonly rounds: number;
  /** Of short stretches of archiving. */
  readonly someRounds: number;
  /** Of single commands. */
  readonly manyRounds: number;
  readonly contestants: ReadonlySet<string>;
  readonly json: boolean;
  /** Files to be written, each part as soon as it is measured. */
  readonly svg: string | undefined;
  readonly keep: string | undefined;
}

/** Undefined: help was asked for. Throws a sentence where the words can't be understood. */
export function parseOptions(args: readonly string[]): Options | undefined {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      store: { type: 'string', default: STORES.join(',') },
      latency: { type: 'string', default: '0,5,20,50' },
      segments: { type: 'string', default: '200' },
      rounds: { type: 'string' },
      contestants: { type: 'string' },
      json: { type: 'boolean', default: false },
      keep: { type: 'string' },
      svg: { type: 'string' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  return {
    parts: new Set(positionals.length === 0 ? PARTS : positionals.map((word) => oneOf(PARTS, word, 'part'))),
    stores: new Set(values.store.split(',').map((word) => oneOf(STORES, word, 'store'))),
    latencies: values.latency.split(',').map((text) => wholeNumber('--latency', text, 0)),
    segments: wholeNumber('--segments', values.segments, 2),
    rounds: wholeNumber('--rounds', values.rounds ?? '3', 1),
    someRounds: wholeNumber('--rounds', values.rounds ?? '7', 1),
    manyRounds: wholeNumber('--rounds', values.rounds ?? '21', 1),
    contestants: new Set(contestantsOf(values.contestants)),
    json: values.json,
    keep: values.keep,
    svg: values.svg,
  };
}

function contestantsOf(text: string | undefined): string[] {
  const known = CONTESTANTS.map(({ name }) => name);
  return text === undefined ? known : text.split(',').map((word) => oneOf(known, word, 'contestant'));
}

function oneOf<const T extends string>(known: readonly T[], word: string, what: string): T {
  const found = known.find((one) => one === word);
  if (found === undefined) throw new Error(`"${word}" is no ${what}: there are ${known.join(', ')}`);
  return found;
}

function wholeNumber(option: string, text: string, least: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < least) {
    throw new Error(`${option} takes a whole number from ${least} on, not "${text}"`);
  }
  return value;
}

export const HELP = `Usage: scripts/bench [PART...] [OPTION...]
       scripts/bench show FILE...    runs that were written as JSON, each by itself: two runs are not compared
       scripts/bench prune [--help]

Measures walseal beside what it is compared with, in turns and in one run, on segments that a pgbench-like load on a real
PostgreSQL 18 wrote, and prints medians, quartiles, ratios and the bounds that this project holds itself to.

Parts (default: all)
  single   one push and one fetch, by hand
  start    wal-push --version through its launcher, and the clients of the clouds' stores, against an empty program
  hand-over  a push of what the agent has stored already
  backlog  a push while 10, 200 and 2,000 more wait behind it
  drain    a server that has waiting segments archives all of them
  recovery a server begins with a base backup, replays all of them from an archive, and opens
  prune    alone: what a plan over a million objects costs

Contestants
${CONTESTANTS.map(({ name, says }) => `  ${name.padEnd(18)} ${says}`).join('\n')}
What is not there is fetched into .cache/peers; what can't be had is named and left out.

Options
  --store A,B          file, minio (default both)
  --latency A,B        ms that each round trip to MinIO takes longer (default 0,5,20,50)
  --segments N         how many wait (default 200; with less the bounds don't count; hand-over takes rounds + 3)
  --rounds N           how often each is measured (default 3; backlog 7; single commands 21)
  --contestants A,B    these alone
  --json               print the run as JSON
  --keep FILE          write it there as JSON, anew after each part: an interrupted run is not lost
  --svg FILE           draw drains and recoveries
  --help               this text

Examples
  scripts/bench
  scripts/bench drain --store file --segments 50 --rounds 3
  scripts/bench recovery --store minio --latency 0,20 --contestants walseal-agent,pgbackrest-async
  scripts/bench drain --segments 50 --rounds 5 --contestants walseal,pgbackrest-async --keep run.json --svg run.svg

Status: 0; 1 where a bound is exceeded; 64 for words that can't be understood.
`;
