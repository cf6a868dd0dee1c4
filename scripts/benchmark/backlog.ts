/**
 * What one push costs while many wait: the server looks for the next file in a directory that grows, and who works ahead
 * looks there too. Ten segments are archived while so many more wait behind them. The next ten of these are real, so that
 * who works ahead has the same work at hand however many there are; those behind are made up, and empty.
 */
import { chownSync, closeSync, ftruncateSync, openSync, readSync, renameSync, writeSync } from 'node:fs';
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
/** As many are archived. */
const MEASURED = 10;
/** Of those that wait behind them. */
const REAL_BEHIND = 10;
/** The segments that this part needs. */
export const NEEDED = MEASURED + REAL_BEHIND;

/** Milliseconds for each of the first ten. */
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
    const segments = cluster.segments.slice(0, MEASURED);
    leaveFirst(ground.dataDirectory, cluster, NEEDED);
    makeUpSegments(ground.dataDirectory, cluster, count - REAL_BEHIND);
    const { seconds } = await archiveByServer(ground, segments, await contestant.prepare(ground));
    return (seconds * 1000) / segments.length;
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
