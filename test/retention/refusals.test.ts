/** What a plan refuses: nothing is deleted while anything is in doubt. */
import { describe, expect, test } from 'vitest';

import type { BaseBackup } from '../../src/retention/base-backup.ts';
import { matches } from '../../src/retention/pattern.ts';
import { planPrune } from '../../src/retention/plan.ts';
import { decideSegmentSize, evidenceOfBackups, evidenceOfHistory } from '../../src/retention/segment-size.ts';
import { assess } from '../../src/retention/assess.ts';
import { takeInventory } from '../../src/retention/inventory.ts';
import { parseSystemId } from '../../src/wal/control.ts';
import { toSegmentSize } from '../../src/wal/name.ts';
import { known } from '../wal/arbitraries.ts';
import { failureOf, rejection } from './failure.ts';
import { Life, listing, MEGABYTES_16, SYSTEM, type Remains } from './life.ts';
import { DAY_MS, LEAST, look, prune } from './prune.ts';

const SEGMENT = 2n ** 24n;

function life(): Life {
  const made = new Life(1);
  made.backup(0, { bytes: SEGMENT, from: 'primary', brings: false });
  made.write(0, 3n * SEGMENT);
  return made;
}

function changed(change: (backup: BaseBackup) => Partial<BaseBackup>): Remains {
  const remains = life().remains();
  return { ...remains, backups: remains.backups.map((backup) => ({ ...backup, ...change(backup) })) };
}

describe('refused', () => {
  test('no policy', async () => {
    const { keepWalMs, strayAfterMs, keep } = LEAST;
    const failure = await rejection(prune(life().remains(), { keepWalMs, strayAfterMs, keep }));
    expect(failure).toMatchObject({ kind: 'usage', message: 'no policy says what is to be kept' });
    expect(failure.hint).toContain('keep_backups = 2');
  });

  test('no backup, and no restorable backup, with the reason of each', async () => {
    const none = await rejection(prune({ ...life().remains(), backups: [] }, LEAST));
    expect(none).toMatchObject({ kind: 'invalid', message: `no base backup is known of system ${SYSTEM}` });
    const broken = await rejection(
      prune(
        changed(() => ({ problems: ['backup_manifest is missing'] })),
        LEAST,
      ),
    );
    expect(broken.message).toContain('file:///backups/1: backup_manifest is missing');
    const unfinished = life().remains();
    unfinished.objects.delete('0000000100000000000000FB');
    const gap = await rejection(prune(unfinished, LEAST));
    expect(gap.message).toContain(
      '0000000100000000000000FB, which it needs to be consistent, is neither in the archive',
    );
  });

  test('a backup of another cluster does not count', async () => {
    const remains = changed(() => ({ systemId: known(parseSystemId('7322222222222222222')) }));
    expect((await rejection(prune(remains, LEAST))).message).toContain('it is of another cluster, 7322222222222222222');
  });

  test('a backup of whatever cluster does not count where nothing tells that it is of this one', async () => {
    const made = new Life(1);
    made.backup(0, { bytes: SEGMENT, from: 'standby', brings: false });
    made.write(0, 2n * SEGMENT);
    const remains = made.remains();
    const untold = remains.backups.map((backup) => ({ ...backup, systemId: undefined }));
    expect((await rejection(prune({ ...remains, backups: untold }, LEAST))).message).toContain(
      'neither its files, nor 0000000100000000000000FA.0000008C.backup in the archive',
    );
  });

  test('a backup from the future, an object from the future, a clock before its time, a backup that ends before it begins', async () => {
    const { nowMs } = life().remains();
    const future = changed(() => ({ stoppedAt: new Date(nowMs + DAY_MS) }));
    expect((await rejection(prune(future, LEAST))).message).toContain('backup file:///backups/1 ended at');
    const there = await look(life().remains());
    for (const [now, fact] of [
      [new Date(nowMs - DAY_MS), 'an object of timeline 1 is from'],
      [new Date(0), 'the clock of this host says 1970-01-01'],
      [new Date(Number.NaN), 'the clock of this host says no time at all'],
    ] as const) {
      const failure = failureOf(() => planPrune(there, LEAST, now));
      expect(failure.kind).toBe('invalid');
      expect(failure.message).toContain(fact);
    }
    const reversed = changed(({ stoppedAt }) => ({ startedAt: new Date(stoppedAt.getTime() + 3 * DAY_MS), stoppedAt }));
    expect((await rejection(prune(reversed, LEAST))).message).toContain('began at');
  });

  test('a pin, and a label of vouched backups, that matches nothing', async () => {
    expect(await rejection(prune(life().remains(), { ...LEAST, keep: ['primry 1'] }))).toMatchObject({
      kind: 'usage',
      message: 'keep = "primry 1" matches no backup',
    });
    expect(await rejection(look(life().remains(), ['nightly*']))).toMatchObject({
      kind: 'usage',
      message: 'history_files = "nightly*" matches no backup history file of the archive',
    });
  });

  test('a history that was listed and not read', async () => {
    const made = life();
    made.promote(0);
    const remains = made.remains();
    const inventory = await takeInventory(listing(remains), { systemId: SYSTEM, segmentSize: MEGABYTES_16 });
    const holdings = { inventory, histories: [], backups: remains.backups, backupHistories: [], vouchedLabels: [] };
    expect(failureOf(() => assess(holdings)).message).toBe('00000002.history is in the archive, and was not read');
  });

  test('WAL of a timeline from before its begin: two copies of the cluster have used the number', async () => {
    const made = life();
    made.promote(0);
    made.write(1, SEGMENT);
    const remains = made.remains();
    remains.objects.set('0000000200000000000000FB', { name: '0000000200000000000000FB', modifiedMs: remains.nowMs });
    const failure = await rejection(look(remains));
    expect(failure.kind).toBe('invalid');
    expect(failure.message).toContain('0000000200000000000000FB lies before the begin of timeline 2');
  });

  test('a backup that was where the histories say that no way leads', async () => {
    const remains = changed(({ start, stop }) => ({ ranges: [{ timeline: 7, start: start.lsn, end: stop.lsn }] }));
    expect((await rejection(prune(remains, LEAST))).message).toContain('where the way to timeline 1 is on timeline 1');
    const unknown = changed(({ stop }) => ({ stop: { ...stop, timeline: 9 } }));
    expect((await rejection(prune(unknown, LEAST))).message).toContain('the archive knows no timeline 9');
  });
});

describe('the segment size', () => {
  const size = (megabytes: number) => known(toSegmentSize(megabytes * 2 ** 20));

  test('comes from whatever tells it', () => {
    expect(decideSegmentSize(evidenceOfBackups(life().remains().backups))).toBe(MEGABYTES_16);
    expect(decideSegmentSize([{ source: 'pg_control', fits: [size(64)] }])).toBe(size(64));
  });

  test('comes from a backup history file where its place leaves no doubt', () => {
    const [file] = life().remains().backupHistories;
    expect(decideSegmentSize([evidenceOfHistory('it', known(file).history)])).toBe(MEGABYTES_16);
  });

  test('is refused where evidence contradicts itself, or is not enough', async () => {
    const two = failureOf(() =>
      decideSegmentSize([
        { source: 'a', fits: [size(16)] },
        { source: 'b', fits: [size(64)] },
      ]),
    );
    expect(two).toMatchObject({ kind: 'invalid', message: 'two segment sizes: a says 16 MB, and b says 64 MB' });
    expect(failureOf(() => decideSegmentSize([{ source: 'a', fits: [size(16), size(32)] }]))).toMatchObject({
      kind: 'usage',
      message: 'nothing tells the segment size: it may be 16 or 32 MB',
    });
    const remains = changed(() => ({ segmentSize: size(64) }));
    expect((await rejection(prune(remains, LEAST))).message).toContain('two segment sizes');
  });
});

test.each([
  ['', '', true],
  ['*', '', true],
  ['nightly*', 'nightly 1', true],
  ['nightly', 'nightly 1', false],
  ['*/2026-0?-01', 's3://b/2026-01-01', true],
  ['a*b*c', 'a-b-b-c', true],
  ['a*b*c', 'a-c-b', false],
  ['?', '', false],
  ['[a]', 'a', false],
  ['*a*a*a*a*a*a*a*a*a*b', 'a'.repeat(2000), false],
])('the pattern "%s" and "%s": %s', (pattern, text, expected) => {
  expect(matches(pattern, text)).toBe(expected);
});
