/**
 * scripts/bench: what a push, a fetch and a start cost, as ratios of medians within one run. The pairs take turns,
 * so that a machine that is busy for a while is busy for both.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { makeScratch } from '../test/harness/scratch.ts';
import { median, spread, timed, type Timed } from './benchmark/measure.ts';
import { buildEmptyProgram, prepare, type Bench } from './benchmark/prepare.ts';

const CHECKOUT = join(import.meta.dirname, '..');

const HELP = `Usage: scripts/bench [--rounds N] [--json]

Measures, in turns and in one run, on a 16 MB segment that a pgbench-like load on a real PostgreSQL 18 wrote:
  push    wal-push, alone, level 3, encrypted and signed   against   zstd -3 into a file, with fsync
  fetch   wal-fetch                                        against   zstd -d into a file
  start   wal-push --version, through its launcher         against   an empty program built by bun
and prints medians, the spread from the lower to the upper quartile, ratios, and peak memory.

  --rounds N   how often each is run (default 21)
  --json       print the figures as JSON`;

interface Comparison {
  readonly name: string;
  /** The ratio that this project holds itself to. */
  readonly atMost: number;
  readonly ours: () => Timed;
  readonly theirs: () => Timed;
}

function comparisons(bench: Bench, empty: string): Comparison[] {
  const { segment, dist, environment: env, archive, scratch } = bench;
  const fetched = join(scratch, 'fetched');
  const packed = join(scratch, 'packed.zst');
  const pack = 'zstd -3 -q -c "$1" | dd of="$2" bs=1M conv=fsync status=none';
  const run = (command: string, args: readonly string[]): Timed =>
    timed(command, args, { cwd: bench.dataDirectory, env });
  return [
    {
      name: 'push',
      atMost: 1.5,
      ours: () => {
        rmSync(archive, { recursive: true });
        mkdirSync(archive);
        return run(join(dist, 'wal-push'), [segment]);
      },
      theirs: () => {
        rmSync(packed, { force: true });
        return run('/bin/sh', ['-c', pack, 'sh', segment, packed]);
      },
    },
    {
      name: 'fetch',
      atMost: 2.5,
      ours: () => {
        rmSync(fetched, { force: true });
        return run(join(dist, 'wal-fetch'), [bench.segmentName, fetched]);
      },
      theirs: () => {
        rmSync(fetched, { force: true });
        return run('zstd', ['-d', '-q', '-f', '-o', fetched, packed]);
      },
    },
    {
      name: 'start',
      atMost: 3,
      ours: () => run(join(dist, 'wal-push'), ['--version']),
      theirs: () => run(empty, []),
    },
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

function measure({ name, atMost, ours, theirs }: Comparison, rounds: number): Figures {
  const mine: Timed[] = [];
  const others: Timed[] = [];
  for (let round = 0; round < rounds; round += 1) {
    // Whoever comes second finds caches warm and disks busy: take turns at that too.
    if (round % 2 === 0) mine.push(ours());
    others.push(theirs());
    if (round % 2 === 1) mine.push(ours());
  }
  const [oursMs, theirsMs] = [median(mine.map(({ ms }) => ms)), median(others.map(({ ms }) => ms))];
  const peaks = mine.flatMap(({ peakMb }) => (peakMb === undefined ? [] : [peakMb]));
  return {
    name,
    oursMs,
    oursSpreadMs: spread(mine.map(({ ms }) => ms)),
    theirsMs,
    theirsSpreadMs: spread(others.map(({ ms }) => ms)),
    ratio: oursMs / theirsMs,
    atMost,
    peakMb: peaks.length === 0 ? undefined : Math.max(...peaks),
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
  const figures = comparisons(bench, empty).map((comparison) => measure(comparison, rounds));
  console.log(values.json ? JSON.stringify(figures, undefined, 2) : table(figures));
}

await main();
