/**
 * What one push costs while many wait: the server looks for the next file in a directory that grows, and who works ahead
 * looks there too. While ten segments are archived, so many more wait behind each of them: where there would be fewer in the
 * end, another one is finished for each that is archived, as a server at work does it. The next ten are real, and those
 * behind are made up, and empty. Five go before the ten: by then who works ahead has started.
 */
import { chownSync, closeSync, existsSync, ftruncateSync, openSync, readSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { serverUser, writeAsServer } from '../../test/harness/server-user.ts';
import { copyCluster, SEGMENT_SIZE, segmentBehind, statusDirectory, type WaitingCluster } from './cluster.ts';
import type { Contestant } from './contestants/contestant.ts';
import { archiveByServer } from './drain.ts';
import { IN_DIRECTORY, makeGround, removeGround } from './ground.ts';
import { waiting } from './names.ts';
import type { Series } from './run.ts';
import { inTurns } from './turns.ts';

const BACKLOGS = [10, 200, 2000];
/** As many are archived before. */
const BEFORE = 5;
const MEASURED = 10;
/** Of those that wait behind them. */
const REAL_BEHIND = 10;
/** A fraction of what a push takes. */
const FEED_INTERVAL_MS = 5;
/** The segments that this part needs. */
export const NEEDED = BEFORE + MEASURED + REAL_BEHIND;

/** Milliseconds for each of the ten. */
export async function measureBacklog(
  runId: string,
  cluster: WaitingCluster,
  contestants: readonly Contestant[],
  rounds: number,
): Promise<Series[]> {
  const tasks = contestants.flatMap((contestant) => BACKLOGS.map((count) => ({ contestant, count })));
  const all = await inTurns(tasks, rounds, ({ contestant, count }) => measureOne(cluster, contestant, count));
  return tasks.map(({ contestant, count }, index) => ({
    ...{ runId, part: 'backlog', setting: waiting(count), contestant: contestant.name, unit: 'ms' },
    values: all[index] ?? [],
  }));
}

async function measureOne(cluster: WaitingCluster, contestant: Contestant, count: number): Promise<number> {
  const ground = await makeGround(IN_DIRECTORY);
  try {
    copyCluster(cluster, ground.dataDirectory);
    const segments = cluster.segments.slice(0, NEEDED);
    const atFirst = Math.min(count + 1, NEEDED);
    leaveFirst(ground.dataDirectory, cluster, atFirst);
    makeUpSegments(ground.dataDirectory, cluster, count - REAL_BEHIND);
    const ready = await contestant.prepare(ground);
    using _feeder = feed(ground.dataDirectory, segments, atFirst);
    const { archivedMs } = await archiveByServer(ground, segments.slice(0, BEFORE + MEASURED), ready);
    const measured = archivedMs.slice(BEFORE - 1);
    return (Math.max(...measured) - Math.min(...measured)) / MEASURED;
  } finally {
    await removeGround(ground);
  }
}

function leaveFirst(dataDirectory: string, { segments }: WaitingCluster, count: number): void {
  const directory = statusDirectory(dataDirectory);
  for (const name of segments.slice(count)) {
    renameSync(join(directory, `${name}.ready`), join(directory, `${name}.done`));
  }
}

/** For each of the segments that is archived, the next one behind those that wait is told to be finished. */
function feed(dataDirectory: string, segments: readonly string[], waiting: number): Disposable {
  const directory = statusDirectory(dataDirectory);
  const behind = segments.slice(waiting);
  let archived = 0;
  const timer = setInterval(() => {
    for (; existsSync(join(directory, `${segments[archived] ?? ''}.done`)); archived += 1) {
      const next = behind.shift();
      if (next !== undefined) renameSync(join(directory, `${next}.done`), join(directory, `${next}.ready`));
    }
  }, FEED_INTERVAL_MS);
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer);
    },
  };
}

const LONG_HEADER_BYTES = 40;
const PAGE_ADDRESS_AT = 8;
/** Far behind what the server will ever reach here. */
const FIRST_MADE_UP = 0x1000;

/** Segments that wait, with a right header and nothing else; they take no room on the disk. */
function makeUpSegments(dataDirectory: string, { segments: [first = ''] }: WaitingCluster, count: number): void {
  const header = Buffer.alloc(LONG_HEADER_BYTES);
  const model = openSync(join(dataDirectory, 'pg_wal', first), 'r');
  readSync(model, header);
  closeSync(model);
  for (let number = 0; number < count; number += 1) {
    const { name, start } = segmentBehind(first, FIRST_MADE_UP + number);
    header.writeBigUInt64LE(start, PAGE_ADDRESS_AT);
    const path = join(dataDirectory, 'pg_wal', name);
    const file = openSync(path, 'w', 0o600);
    writeSync(file, header);
    ftruncateSync(file, SEGMENT_SIZE);
    closeSync(file);
    chownSync(path, serverUser().uid, serverUser().gid);
    writeAsServer(join(statusDirectory(dataDirectory), `${name}.ready`), '');
  }
}
