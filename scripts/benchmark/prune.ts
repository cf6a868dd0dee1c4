/**
 * scripts/benchmark/prune.ts: what a plan costs in time and memory. Each size is planned in a process of its own, from
 * a listing that is made up as it is read, to the last key that would be deleted.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import type { BaseBackup } from '../../src/retention/base-backup.ts';
import { takeInventory } from '../../src/retention/inventory.ts';
import { doomed, planPrune } from '../../src/retention/plan.ts';
import { assess } from '../../src/retention/assess.ts';
import type { HistoryFile } from '../../src/retention/timelines.ts';
import type { ListedObject } from '../../src/storage/storage.ts';
import { parseSystemId } from '../../src/wal/control.ts';
import { objectKey } from '../../src/wal/keys.ts';
import { formatLsn, toLsn, type Lsn } from '../../src/wal/lsn.ts';
import {
  formatTimeline,
  parseWalName,
  segmentNameAt,
  toSegmentSize,
  toTimelineId,
  type TimelineId,
} from '../../src/wal/name.ts';
import { median } from './statistics.ts';

const HELP = `Usage: node scripts/benchmark/prune.ts [--rounds N] [--json]

Plans a prune of 200 backups on 50 timelines, with 1,000,000 and 2,000,000 objects in turns, and prints the time of the
whole and of its parts, peak memory, and what twice the objects cost.

  --rounds N    how often each is run (default 3)
  --json        print the figures as JSON
  --objects N   one run with so many objects, in this process, its figures as JSON`;

const TIMELINES = 50;
const BACKUPS = 200;
const MOST_MS = 10_000;
const MOST_MB = 200;
const MOST_RATIO = 2.2;
const PAGE = 1000;
const MINUTE_MS = 60_000;
const BEGAN_MS = Date.UTC(2025, 0);

function need<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('a value that should exist does not');
  return value;
}

const SIZE = need(toSegmentSize(2 ** 24));
const SYSTEM = need(parseSystemId('7311111111111111111'));

/** A timeline's stretch of segments: it forks from the one before it, of which some more was written behind the fork. */
interface Stretch {
  readonly timeline: TimelineId;
  readonly first: number;
  readonly count: number;
}

function stretchesOf(objects: number): Stretch[] {
  const count = Math.floor(objects / TIMELINES);
  const tail = Math.floor(count / 20);
  return Array.from({ length: TIMELINES }, (_, index) => ({
    timeline: need(toTimelineId(index + 1)),
    first: index * (count - tail),
    count: index === TIMELINES - 1 ? objects - count * (TIMELINES - 1) : count,
  }));
}

function lsnOf(number: number, offset = 0): Lsn {
  return toLsn(BigInt(number) * BigInt(SIZE) + BigInt(offset));
}

/** Pages as a store gives them, in the order of keys. */
async function* listing(stretches: readonly Stretch[], objects: number): AsyncGenerator<readonly ListedObject[]> {
  let page: ListedObject[] = [];
  let age = objects;
  for (const { timeline, first, count } of stretches) {
    for (let number = first; number < first + count; number += 1) {
      const key = objectKey(SYSTEM, segmentNameAt(timeline, lsnOf(number), SIZE));
      age -= 1;
      page.push({ key, size: 4_000_000, modified: new Date(nowOf(objects) - age * MINUTE_MS) });
      if (page.length < PAGE) continue;
      yield page;
      page = [];
    }
  }
  const histories = stretches.slice(1).map(({ timeline }) => need(parseWalName(`${formatTimeline(timeline)}.history`)));
  yield [
    ...page,
    ...histories.map((name) => ({ key: objectKey(SYSTEM, name), size: 100, modified: new Date(BEGAN_MS) })),
  ];
}

/** An object a minute. */
function nowOf(objects: number): number {
  return BEGAN_MS + objects * MINUTE_MS;
}

function historiesOf(stretches: readonly Stretch[]): HistoryFile[] {
  return stretches.slice(1).map(({ timeline }, index) => {
    const lines = stretches
      .slice(1, index + 2)
      .map(({ first }, parent) => `${parent + 1}\t${formatLsn(lsnOf(first, 40))}\tfail-over\n`);
    return { timeline, text: lines.join('\n') };
  });
}

/** On each timeline in turn: a full backup, and three increments upon it. */
function backupsOf(stretches: readonly Stretch[], objects: number): BaseBackup[] {
  const each = BACKUPS / stretches.length;
  return stretches.flatMap(({ timeline, first, count }, index) => {
    const places = Array.from({ length: each }, (_, turn) => first + 10 + Math.floor((turn * count) / (each + 1)));
    return places.map((number, turn): BaseBackup => {
      const before = places[turn - 1];
      const stopped = new Date(BEGAN_MS + ((index + turn / each) / stretches.length) * objects * MINUTE_MS);
      const [start, stop] = [lsnOf(number, 40), lsnOf(number + 3, 400)];
      return {
        path: `file:///backups/${timeline}-${turn}`,
        label: `${timeline} ${turn}`,
        kind: before === undefined ? 'full' : 'incremental',
        systemId: SYSTEM,
        segmentSize: SIZE,
        start: { timeline, lsn: start },
        stop: { timeline, lsn: stop },
        ranges: [{ timeline, start, end: stop }],
        startedAt: stopped,
        stoppedAt: stopped,
        incrementalFrom: before === undefined ? undefined : { timeline, lsn: lsnOf(before, 40) },
        ownWal: new Set(),
        problems: [],
      };
    });
  });
}

interface Figures {
  readonly objects: number;
  readonly deleted: number;
  readonly inventoryMs: number;
  readonly planMs: number;
  readonly keysMs: number;
  readonly totalMs: number;
  /** Time of processors, which does not tell how busy the machine was with others. */
  readonly cpuMs: number;
  /** Peak memory of the process. */
  readonly peakMb: number;
}

async function planOnce(objects: number): Promise<Figures> {
  const stretches = stretchesOf(objects);
  const backups = backupsOf(stretches, objects);
  const began = performance.now();
  const used = process.cpuUsage();
  const inventory = await takeInventory(listing(stretches, objects), { systemId: SYSTEM, segmentSize: SIZE });
  const listed = performance.now();
  const there = assess({
    inventory,
    histories: historiesOf(stretches),
    backups,
    backupHistories: [],
    vouchedLabels: [],
  });
  const policy = {
    keepBackups: 5,
    keepDays: 30,
    keepWalMs: 7 * 1440 * MINUTE_MS,
    strayAfterMs: 30 * 1440 * MINUTE_MS,
    keep: [],
  };
  const plan = planPrune(there, policy, new Date(nowOf(objects)));
  const planned = performance.now();
  let deleted = 0;
  for (const { key } of doomed(plan)) if (key.length > 0) deleted += 1;
  const ended = performance.now();
  const cpu = process.cpuUsage(used);
  return {
    objects,
    deleted,
    inventoryMs: listed - began,
    planMs: planned - listed,
    keysMs: ended - planned,
    totalMs: ended - began,
    cpuMs: (cpu.user + cpu.system) / 1000,
    peakMb: process.resourceUsage().maxRSS / 1024,
  };
}

function planElsewhere(objects: number): Figures {
  const args = [fileURLToPath(import.meta.url), '--objects', String(objects)];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`planning ${objects} objects ended with ${String(status)}: ${stderr}`);
  return JSON.parse(stdout) as Figures;
}

function compare(rounds: number, asJson: boolean): void {
  const sizes = [1_000_000, 2_000_000];
  const runs = Array.from({ length: rounds }, () => sizes.map(planElsewhere)).flat();
  const rows = sizes.map((objects) => {
    const own = runs.filter((run) => run.objects === objects);
    const of = (pick: (figures: Figures) => number): number => median(own.map(pick));
    return {
      objects,
      deleted: of((run) => run.deleted),
      inventoryMs: of((run) => run.inventoryMs),
      planMs: of((run) => run.planMs),
      keysMs: of((run) => run.keysMs),
      totalMs: of((run) => run.totalMs),
      cpuMs: of((run) => run.cpuMs),
      peakMb: of((run) => run.peakMb),
    };
  });
  const ratio = need(rows[1]).totalMs / need(rows[0]).totalMs;
  if (asJson) console.log(JSON.stringify({ rows, ratio }, undefined, 2));
  else {
    const header = ['objects', 'deleted', 'listing ms', 'plan ms', 'keys ms', 'total ms', 'cpu ms', 'peak MB'];
    const lines = [header, ...rows.map((row) => Object.values(row).map((value) => value.toFixed(0)))];
    console.log(lines.map((line) => line.map((cell) => cell.padStart(12)).join('')).join('\n'));
    console.log(
      `at most ${MOST_MS} ms and ${MOST_MB} MB for 1000000; twice the objects cost ${ratio.toFixed(2)} times, at most ${MOST_RATIO}`,
    );
  }
  const first = need(rows[0]);
  if (first.totalMs > MOST_MS || first.peakMb > MOST_MB || ratio > MOST_RATIO) process.exitCode = 1;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      rounds: { type: 'string', default: '3' },
      objects: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean' },
    },
  });
  if (values.help) console.log(HELP);
  else if (values.objects !== undefined) console.log(JSON.stringify(await planOnce(Number(values.objects))));
  else compare(Number(values.rounds), values.json);
}

await main();
