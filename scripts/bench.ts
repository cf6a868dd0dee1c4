/**
 * scripts/bench: what a push, a fetch and a start cost, as ratios of medians within one run. The pairs take turns,
 * so that a machine that is busy for a while is busy for both.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { makeScratch } from '../test/harness/scratch.ts';
import { median, peakOf, spread, timeOf } from './benchmark/measure.ts';
import { buildConnectingProgram, buildEmptyProgram, prepare, type Bench } from './benchmark/prepare.ts';

const CHECKOUT = join(import.meta.dirname, '..');

const HELP = `Usage: scripts/bench [--rounds N] [--json]
       scripts/bench prune [--help]

Measures, in turns and in one run, on a 16 MB segment that a pgbench-like load on a real PostgreSQL 18 wrote:
  push    wal-push, alone, level 3, encrypted and signed   against   zstd -3 into a file, with fsync
  fetch   wal-fetch                                        against   zstd -d into a file
  start   wal-push --version, through its launcher         against   an empty program built by bun
  s3, azure, gs   that store's library loaded and its client made   against   the same
and prints medians, the spread from the lower to the upper quartile, ratios, and peak memory.

  --rounds N   how often each is run (default 21)
  --json       print the figures as JSON`;

interface Side {
  readonly command: string;
  readonly args: readonly string[];
  /** What the run would find done already. */
  readonly removes?: string;
  /** In its environment besides. */
  readonly env?: NodeJS.ProcessEnv;
}

interface Comparison {
  readonly name: string;
  /** The ratio that this project holds itself to. */
  readonly atMost: number;
  readonly ours: Side;
  readonly theirs: Side;
}

function comparisons(bench: Bench, empty: string): Comparison[] {
  const { segment, segmentName, dist, object, scratch } = bench;
  const fetched = join(scratch, 'fetched');
  const packed = join(scratch, 'packed.zst');
  const pack = 'zstd -3 -q -c "$1" | dd of="$2" bs=1M conv=fsync status=none';
  return [
    {
      name: 'push',
      atMost: 1.5,
      // The object's directory stays: a server has pushed the segment before this one.
      ours: { command: join(dist, 'wal-push'), args: [segment], removes: object },
      theirs: { command: '/bin/sh', args: ['-c', pack, 'sh', segment, packed], removes: packed },
    },
    {
      name: 'fetch',
      atMost: 2.5,
      ours: { command: join(dist, 'wal-fetch'), args: [segmentName, fetched], removes: fetched },
      theirs: { command: 'zstd', args: ['-d', '-q', '-f', '-o', fetched, packed], removes: fetched },
    },
    {
      name: 'start',
      atMost: 3,
      ours: { command: join(dist, 'wal-push'), args: ['--version'] },
      theirs: { command: empty, args: [] },
    },
    ...clients(buildConnectingProgram(CHECKOUT, scratch), empty),
  ];
}

/** What the launchers set for the program. */
const OF_LAUNCHERS = { BUN_JSC_useJIT: '0', BUN_JSC_largeHeapSize: String(64 * 1024 * 1024) };

function clients(program: string, empty: string): Comparison[] {
  const comparison = (name: string, atMost: number, table: object, credentials: NodeJS.ProcessEnv): Comparison => ({
    name,
    atMost,
    ours: { command: program, args: [JSON.stringify(table)], env: { ...OF_LAUNCHERS, ...credentials } },
    theirs: { command: empty, args: [] },
  });
  const key = Buffer.alloc(32).toString('base64');
  return [
    comparison('s3', 5, { url: 's3://bucket/wal', region: 'eu-central-1' }, {}),
    comparison(
      'azure',
      6,
      { url: 'azure://container/wal' },
      { AZURE_STORAGE_ACCOUNT: 'account', AZURE_STORAGE_KEY: key },
    ),
    comparison('gs', 6, { url: 'gs://bucket/wal' }, {}),
  ];
}

interface Figures {
  readonly name: string;
  readonly oursMs: number;
  readonly oursSpreadMs: readonly [number, number];
  readonly theirsMs: number;
  readonly theirsSpreadMs: readonly [number, number];
  readonly ratio: number;
  readonly atMost: number;
  /** Peak memory of our program in MB, where GNU time is installed. */
  readonly peakMb: number | undefined;
}

function measure({ name, atMost, ours, theirs }: Comparison, bench: Bench, rounds: number): Figures {
  const placeOf = (side: Side) => ({ cwd: bench.dataDirectory, env: { ...bench.environment, ...side.env } });
  const timed = (side: Side): number => {
    if (side.removes !== undefined) rmSync(side.removes, { force: true });
    return timeOf(side.command, side.args, placeOf(side));
  };
  const mine: number[] = [];
  const others: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    // Whoever comes second finds caches warm and disks busy: take turns at that too.
    if (round % 2 === 0) mine.push(timed(ours));
    others.push(timed(theirs));
    if (round % 2 === 1) mine.push(timed(ours));
  }
  const [oursMs, theirsMs] = [median(mine), median(others)];
  if (ours.removes !== undefined) rmSync(ours.removes, { force: true });
  return {
    name,
    oursMs,
    oursSpreadMs: spread(mine),
    theirsMs,
    theirsSpreadMs: spread(others),
    ratio: oursMs / theirsMs,
    atMost,
    peakMb: peakOf(ours.command, ours.args, placeOf(ours)),
  };
}

function table(figures: readonly Figures[]): string {
  const ms = (value: number, [low, high]: readonly [number, number]): string =>
    `${value.toFixed(1)} (${low.toFixed(1)}-${high.toFixed(1)})`;
  const rows = figures.map((row) => [
    row.name,
    ms(row.oursMs, row.oursSpreadMs),
    ms(row.theirsMs, row.theirsSpreadMs),
    row.ratio.toFixed(2),
    row.atMost.toFixed(1),
    row.peakMb?.toFixed(0) ?? '-',
  ]);
  const lines = [['', 'walseal, ms', 'against, ms', 'ratio', 'at most', 'peak MB'], ...rows];
  return lines.map((line) => line.map((cell, i) => (i === 0 ? cell.padEnd(7) : cell.padStart(20))).join('')).join('\n');
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { rounds: { type: 'string', default: '21' }, json: { type: 'boolean' }, help: { type: 'boolean' } },
  });
  if (values.help) {
    console.log(HELP);
    return;
  }
  const rounds = Number(values.rounds);
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds takes a whole number, not "${values.rounds}"`);
  const scratch = makeScratch('bench', { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 });
  console.error('writing a segment with a pgbench-like load ...');
  const bench = await prepare(CHECKOUT, scratch);
  const empty = buildEmptyProgram(CHECKOUT, scratch);
  const figures = comparisons(bench, empty).map((comparison) => measure(comparison, bench, rounds));
  console.log(values.json ? JSON.stringify(figures, undefined, 2) : table(figures));
}

await main();
