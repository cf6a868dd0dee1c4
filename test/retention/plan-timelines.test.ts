/** Cases by name of plans for several timelines. */
import { describe, expect, test } from 'vitest';

import { explain } from '../../src/retention/explain.ts';
import { Life } from './life.ts';
import { DAY_MS, fate, gone, kept, LEAST, look, PRIMARY, prune, SEGMENT, STANDBY, threeBackups } from './prune.ts';

describe('timelines', () => {
  test('an abandoned branch goes when no kept backup leads to it; until stray_after it keeps its own backups', async () => {
    const life = new Life(1);
    life.backup(0, PRIMARY);
    life.write(0, 5n * SEGMENT);
    life.recover(0, 3n * SEGMENT, false);
    life.write(1, 4n * SEGMENT);
    life.wait(240);
    life.write(0, SEGMENT);
    life.backup(0, PRIMARY);
    const plan = await prune(life.remains(), LEAST);
    expect(kept(plan)).toEqual(['2']);
    expect(fate(plan, '0000000200000000000000FE')).toBe('goes');
    expect(explain(plan, '0000000200000000000000FE').reasons).toEqual([
      'no kept backup leads to timeline 2, and nothing of it is young',
    ]);
    expect(fate(plan, '00000002.history')).toBe('stays');
    const careful = await prune(life.remains(), { ...LEAST, strayAfterMs: 30 * DAY_MS });
    expect(kept(careful)).toEqual(['1', '2']);
    expect(gone(careful)).toEqual([]);
  });

  test('the newest segment of an abandoned branch stays, and what else has its name or lies behind it', async () => {
    const life = new Life(1);
    life.write(0, 3n * SEGMENT);
    life.promote(0);
    life.write(1, 2n * SEGMENT);
    life.wait(240);
    life.backup(1, PRIMARY);
    life.wait(48);
    life.write(1, SEGMENT);
    const plan = await prune(life.remains(), LEAST);
    const reason =
      'the newest segment of timeline 1, or behind it: it stays so that a recovery onto this timeline stops before it, ' +
      'where WAL is missing, instead of opening short';
    expect(gone(plan).filter((name) => name.startsWith('00000001'))).toEqual([
      '0000000100000000000000FA',
      '0000000100000000000000FB',
    ]);
    expect(plan.keeps[0]).toMatchObject({
      timeline: 1,
      first: '0000000100000000000000FC',
      last: '0000000100000000000000FD',
      count: 2,
      because: ['newest'],
      reason,
    });
    for (const name of ['0000000100000000000000FC', '0000000100000000000000FD.partial'])
      expect(explain(plan, name)).toEqual({ fate: 'stays', because: ['newest'], reasons: [reason] });
    expect(plan.deletes[0]?.reason).toBe('no kept backup leads to timeline 1, and nothing of it is young');
  });

  test('a timeline of one segment loses nothing', async () => {
    const life = new Life(1);
    life.backup(0, PRIMARY);
    life.promote(0);
    life.write(1, SEGMENT);
    life.wait(240);
    life.write(0, SEGMENT);
    life.backup(0, PRIMARY);
    const remains = life.remains();
    const ofSecond = [...remains.objects.keys()].filter((name) => /^00000002.{16}$/.test(name));
    expect(ofSecond).toHaveLength(1);
    expect(gone(await prune(remains, LEAST)).filter((name) => name.startsWith('00000002'))).toEqual([]);
  });

  test('a pinned backup that starts behind all that is there of its timeline does not take the newest segment', async () => {
    const life = new Life(1);
    life.write(0, 3n * SEGMENT);
    life.promote(0);
    life.write(0, SEGMENT);
    life.backup(0, STANDBY);
    life.write(1, SEGMENT);
    life.wait(240);
    life.backup(1, PRIMARY);
    const remains = life.remains();
    remains.objects.delete('0000000100000000000000FE');
    const plan = await prune(remains, { ...LEAST, keep: ['standby 1'] });
    expect(kept(plan)).toEqual(['1', '2']);
    expect(gone(plan).filter((name) => name.startsWith('00000001'))).toEqual([
      '0000000100000000000000FA',
      '0000000100000000000000FB',
      '0000000100000000000000FC',
    ]);
  });

  test('the oldest kept backup keeps every branch that forked behind it', async () => {
    const life = new Life(1);
    life.backup(0, PRIMARY);
    life.write(0, 5n * SEGMENT);
    life.recover(0, 3n * SEGMENT, false);
    life.write(1, 4n * SEGMENT);
    life.wait(2000);
    life.write(0, SEGMENT);
    const plan = await prune(life.remains(), LEAST);
    expect(gone(plan)).toEqual([]);
    expect(plan.kept[0]?.assessed.windows.map(({ timeline }) => timeline)).toEqual([1, 2]);
  });

  test('an archive that nobody pushes to any more is not made of strays', async () => {
    const life = threeBackups();
    life.wait(10_000);
    const plan = await prune(life.remains(), LEAST);
    expect(kept(plan)).toEqual(['3']);
  });

  test("a standby's backup, promoted before its last segment was archived, is restorable on the child's way", async () => {
    const life = new Life(1);
    life.backup(0, STANDBY);
    life.promote(0);
    life.write(1, 3n * SEGMENT);
    const plan = await prune(life.remains(), LEAST);
    expect(plan.kept[0]?.assessed).toMatchObject({ problems: [], consistentOn: [2], windows: [{ timeline: 2 }] });
  });

  test('a live timeline behind a gap keeps what may yet be mended', async () => {
    const life = new Life(1);
    life.backup(0, PRIMARY);
    life.write(0, 4n * SEGMENT);
    life.lose(3);
    life.promote(0);
    life.write(1, 2n * SEGMENT);
    life.wait(2);
    life.write(1, SEGMENT);
    const plan = await prune(life.remains(), LEAST);
    expect(plan.live).toMatchObject([{ timeline: 2, hasBackup: false }]);
    expect(gone(plan)).toEqual([]);
    expect(plan.assessment.backups[0]?.windows).toMatchObject([
      { timeline: 1, gap: { missing: '0000000100000000000000FD', next: '0000000100000000000000FE' } },
      { timeline: 2, gap: { missing: '0000000100000000000000FD' } },
    ]);
  });

  test('a live timeline that no restorable backup leads to keeps its WAL, and what could lead to it', async () => {
    const life = new Life(1);
    life.backup(0, PRIMARY);
    life.write(0, 2n * SEGMENT);
    life.promote(0);
    life.write(1, 2n * SEGMENT);
    life.wait(240);
    life.write(0, 2n * SEGMENT);
    life.backup(0, PRIMARY);
    const remains = life.remains();
    const strayAfterMs = 30 * DAY_MS;
    remains.objects.delete('0000000100000000000000FB');
    const plan = await prune(remains, { ...LEAST, strayAfterMs });
    expect(plan.live.map(({ timeline, hasBackup }) => [timeline, hasBackup])).toEqual([
      [1, true],
      [2, false],
    ]);
    expect(gone(plan)).toEqual([]);
    expect(explain(plan, '0000000200000000000000FE').reasons).toEqual([
      'timeline 2 is live, and no backup that the policy counts arrives there',
    ]);
    expect(gone(await prune(remains, LEAST))).toContain('0000000200000000000000FE');
  });

  test('the segment of a fork is read from the child: without it the way ends there, whatever the parent has', async () => {
    const life = new Life(1);
    life.backup(0, PRIMARY);
    life.write(0, 5n * SEGMENT);
    life.recover(0, 2n * SEGMENT, false);
    life.write(1, 3n * SEGMENT);
    const remains = life.remains();
    remains.objects.delete('0000000200000000000000FF');
    const { backups } = await look(remains);
    expect(backups[0]?.windows).toMatchObject([
      { timeline: 1, gap: undefined },
      {
        timeline: 2,
        end: 0xffn * SEGMENT,
        gap: { missing: '0000000200000000000000FF', next: '000000020000000100000000' },
      },
    ]);
  });

  test('it goes up to the fork, then the child, then the rest', async () => {
    const life = new Life(1);
    life.write(0, 4n * SEGMENT);
    life.recover(0, 2n * SEGMENT, false);
    life.write(1, 3n * SEGMENT);
    life.wait(48);
    life.write(0, 2n * SEGMENT);
    life.backup(0, PRIMARY);
    const { deletes } = await prune(life.remains(), LEAST);
    expect(deletes.map(({ timeline, first, last }) => [timeline, first.slice(-2), last.slice(-2)])).toEqual([
      [1, 'FA', 'FC'],
      [2, 'FC', 'FD'],
      [1, 'FD', 'FF'],
    ]);
  });
});
