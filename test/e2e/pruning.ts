/** wal-prune on the archive of real servers: all that it promises is recovered, and what it gives up never opens. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { archiverStatistics, fillSegments, summary, untilAllArchived } from '../harness/ledger.ts';
import { needStore } from '../harness/need.ts';
import { needPgClients } from '../harness/pg-clients.ts';
import type { Settings } from '../harness/postgres.ts';
import type { Version } from '../harness/server-user.ts';
import { CLOUDS, type Cloud } from '../harness/stores/archives.ts';
import { failToRecover, liveThrough, recover, type Past } from './prune-past.ts';
import { bucketPlace, directoryPlace } from './prune-places.ts';
import { Pruner, type Promises } from './prune-report.ts';

/** By hand, from the picture in prune-past.ts: the timelines to whose ends each backup that is kept can be brought. */
const OF_TWO: Promises = { b: [1, 2, 3], b1: [1, 2, 3], b2: [1], c: [1], d: [2, 3], d1: [2, 3], e: [3] };
const OF_ONE: Promises = { c: [1], d: [2, 3], d1: [2, 3], e: [3] };
const OF_ONE_AND_F: Promises = { c: [1], d: [2, 3], d1: [2, 3], f: [3] };
const OF_THE_LIVE: Promises = { d: [2, 3], d1: [2, 3], f: [3] };
/** Nobody's to delete. */
const STRANGE = ['README', '$/wal/notes', `$/aside/000000010000000000000001.${'ab'.repeat(32)}`];
const TWO_HOURS_S = 2 * 60 * 60;
const GAP_STATUS = 'child process exited with exit code 207';
/** From here on the server looks ahead for WAL, and does not get over a gap behind its target. */
const PREFETCH_SINCE = 15;

export function describePruning(where: 'directory' | Cloud, version: Version): void {
  const isMissing = (where !== 'directory' && needStore(CLOUDS[where])) || needPgClients();
  describe.skipIf(isMissing)(`an archive of PostgreSQL ${version}, ${where}`, () => {
    let past: Past;
    beforeAll(async () => {
      past = await liveThrough(where === 'directory' ? directoryPlace() : await bucketPlace(where), version);
      for (const key of STRANGE) await past.place.put(key.replace('$', past.systemId), 'x');
    });
    afterAll(() => past.server.remove());

    const taken = (promises: Promises): Promises =>
      Object.fromEntries(Object.entries(promises).filter(([name]) => past.shelf.has(name)));

    test('is as it was after a plan, and loses by --apply what the plan says', async () => {
      const pruner = await Pruner.make(past, { keep_backups: 2 });
      const all = await past.place.keys();
      const goes = walBefore([await past.shelf.firstSegmentOf('b')], all);
      expect(goes).not.toEqual([]);

      const text = await pruner.text();
      for (const key of [goes[0], goes.findLast(isSegment)]) expect(text).toContain(key?.slice(-24));
      expect(text).toContain(`\n${goes.length} objects of `);
      expect(text).toContain('nothing was deleted');
      const plan = await pruner.run();
      expect(plan).toEqual({ promises: taken(OF_TWO), givenUp: { a: 'shorter' }, count: goes.length });
      expect(await past.place.keys()).toEqual(all);

      expect(await pruner.run('--apply')).toEqual(plan);
      expect(await past.place.keys()).toEqual(all.filter((key) => !goes.includes(key)));
    });

    test('brings each kept backup to the end of each promised timeline, and stops that which was given up', async () => {
      const [log] = await Promise.all([failed(past, 'a', '1'), recoverAll(past, taken(OF_TWO))]);
      expect(log).toContain(GAP_STATUS);
      const atOnce: Settings = {
        recovery_target: 'immediate',
        recovery_target_action: 'promote',
        ...(version >= PREFETCH_SINCE && { recovery_prefetch: 'off' }),
      };
      expect(await recover(past, 'a', atOnce)).toEqual(past.atFirstBackup);
    });

    test('loses more where fewer are kept, nothing of what comes in meanwhile, and nothing the second time', async () => {
      const { place, shelf, server, ends } = past;
      const pruner = await Pruner.make(past, { keep_backups: 1 });
      const all = await place.keys();
      const goes = walBefore([await shelf.firstSegmentOf('c'), await shelf.firstSegmentOf('d')], all);
      await shelf.takeAround(server, 'f', async () => {
        const [pruned] = await Promise.all([pruner.run('--apply'), fillSegments(server, 4)]);
        expect(pruned).toMatchObject({ promises: taken(OF_ONE), count: goes.length });
        await fillSegments(server, 1);
      });
      await fillSegments(server, 1);
      ends.set(3, await summary(server));
      await untilAllArchived(server);
      expect(await archiverStatistics(server)).toMatchObject({ failed: 0 });
      const left = await place.keys();
      expect(all.filter((key) => !left.includes(key))).toEqual(goes);

      expect(await pruner.run('--apply')).toMatchObject({ promises: taken(OF_ONE_AND_F), count: 0 });
      expect(await place.keys()).toEqual(left);
    });

    test('brings all that is kept then to its ends, and stops on each way what was given up', async () => {
      const recovering = recoverAll(past, taken(OF_ONE_AND_F));
      const [toTheNewest, toItsOwn] = await Promise.all([
        failed(past, 'b', 'latest'),
        failed(past, 'b', '1'),
        recovering,
      ]);
      expect(toTheNewest).toContain(GAP_STATUS);
      expect(toItsOwn).toContain(GAP_STATUS);
    });

    if (where !== 'directory') return;
    // Where the store tells the time of an object itself, none is old.
    test('loses all of a timeline that was left but its newest segment, and what it gives up with it never opens short', async () => {
      const { place, ends } = past;
      const all = await place.keys();
      const ofFirst = all.filter((key) => /\/wal\/[0-9A-F]{16}\/00000001/.test(key));
      for (const key of ofFirst) place.age?.(key, TWO_HOURS_S);
      const goes = ofFirst.slice(0, ofFirst.findLastIndex(isSegment));
      const pruner = await Pruner.make(past, { keep_backups: 1, stray_after: '1h' });
      const pruned = await pruner.run('--apply');
      expect(pruned).toMatchObject({ promises: taken(OF_THE_LIVE), count: goes.length });
      expect(pruned.givenUp).toMatchObject({ a: 'already-short', c: 'lost' });
      expect(await place.keys()).toEqual(all.filter((key) => !goes.includes(key)));
      expect(await failed(past, 'c', '1')).toContain(GAP_STATUS);
      expect(await failed(past, 'a', '1')).toContain(GAP_STATUS);
      expect(await recover(past, 'd', { recovery_target_timeline: '2' })).toEqual(ends.get(2));
    });
  });
}

/** Brings each backup to the end of each of its timelines. Two at a time, as there are two cores. */
async function recoverAll(past: Past, promises: Promises): Promise<void> {
  const newest = Math.max(...past.ends.keys());
  const all = Object.entries(promises)
    .flatMap(([name, timelines]) => timelines.map((timeline) => ({ name, timeline })))
    .values();
  const work = async (): Promise<void> => {
    for (const { name, timeline } of all) {
      const target = timeline === newest ? 'latest' : String(timeline);
      const held = await recover(past, name, { recovery_target_timeline: target });
      expect({ name, timeline, held }).toEqual({ name, timeline, held: past.ends.get(timeline) });
    }
  };
  await Promise.all([work(), work()]);
}

/** The log of a recovery that must not end in an open database. */
async function failed(past: Past, name: string, timeline: string): Promise<string> {
  const log = await failToRecover(past, name, { recovery_target_timeline: timeline });
  expect(log).not.toContain('selected new timeline ID');
  expect(log).not.toContain('archive recovery complete');
  return log;
}

/** Segments and what belongs to them, each of them before the one of its timeline that is named. */
function walBefore(firsts: readonly string[], keys: readonly string[]): string[] {
  return keys.filter((key) => {
    const [, name = ''] = /\/wal\/[0-9A-F]{16}\/([0-9A-F]{24})/.exec(key) ?? [];
    return firsts.some((first) => name.slice(0, 8) === first.slice(0, 8) && name < first);
  });
}

function isSegment(key: string): boolean {
  return /\/[0-9A-F]{24}$/.test(key);
}
