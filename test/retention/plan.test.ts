/** Cases by name: what the policy means, what becomes of what it does not keep, and counterexamples that properties have found. */
import { describe, expect, test } from 'vitest';

import { explain } from '../../src/retention/explain.ts';
import type { Plan } from '../../src/retention/plan.ts';
import { planPrune } from '../../src/retention/plan.ts';
import { HOUR_MS, keyOf, Life } from './life.ts';
import { DAY_MS, fate, gone, kept, LEAST, look, PRIMARY, prune, SEGMENT, STANDBY, threeBackups } from './prune.ts';

/** What becomes of each backup that is given up. */
function givenUp(plan: Plan): Record<string, string> {
  return Object.fromEntries(
    plan.givenUp.map(({ assessed, becomes }) => [assessed.backup.path.replace('file:///backups/', ''), becomes]),
  );
}

describe('keep_backups', () => {
  test('keeps the newest, and the WAL from the start of the oldest of these', async () => {
    const plan = await prune(threeBackups().remains(), { ...LEAST, keepBackups: 2 });
    expect(kept(plan)).toEqual(['2', '3']);
    expect(givenUp(plan)).toEqual({ 1: 'lost' });
    expect(plan.deletes).toMatchObject([
      { timeline: 1, first: '0000000100000000000000FA', last: '0000000100000000000000FE', count: 6 },
    ]);
    expect(plan.keeps).toMatchObject([{ timeline: 1, first: '0000000100000000000000FF' }]);
    expect(plan.kept[0]?.reasons).toEqual(['one of the 2 newest full backups that lead to timeline 1']);
  });

  test('asks for more than there are: nothing goes', async () => {
    expect(gone(await prune(threeBackups().remains(), { ...LEAST, keepBackups: 9 }))).toEqual([]);
  });

  test('keeps incremental backups with the full ones that they build upon', async () => {
    const life = new Life(1);
    life.backup(0, PRIMARY);
    life.increment(0, SEGMENT);
    life.increment(0, SEGMENT);
    const plan = await prune(life.remains(), LEAST);
    expect(kept(plan)).toEqual(['1', '2', '3']);
    expect(plan.kept[2]?.reasons).toEqual(['it builds upon file:///backups/1']);
  });

  test('a copy of a backup does not count as another one', async () => {
    const remains = threeBackups().remains();
    const copies = remains.backups.map((backup) => ({ ...backup, path: `${backup.path}-copy` }));
    const plan = await prune({ ...remains, backups: [...remains.backups, ...copies] }, { ...LEAST, keepBackups: 2 });
    expect(kept(plan)).toEqual(['2', '2-copy', '3', '3-copy']);
  });
});

describe('keep_days', () => {
  test('keeps all since, and the newest that ended before', async () => {
    const plan = await prune(threeBackups().remains(), { keepDays: 15, keepWalMs: 0, strayAfterMs: HOUR_MS, keep: [] });
    expect(kept(plan)).toEqual(['2', '3']);
    expect(plan.kept.map(({ reasons }) => reasons)).toEqual([
      ['the newest that ended before the last 15 days, and leads to timeline 1'],
      ['it ended within the last 15 days, and leads to timeline 1'],
    ]);
  });

  test('keeps a backup of these days that a gap keeps from the live timeline: its moments are of these days too', async () => {
    const life = new Life(1);
    life.backup(0, PRIMARY);
    life.write(0, 3n * SEGMENT);
    life.promote(0);
    life.wait(2);
    life.write(1, SEGMENT);
    life.backup(1, PRIMARY);
    const remains = life.remains();
    remains.objects.delete('0000000100000000000000FD');
    const plan = await prune(remains, { keepDays: 1, keepWalMs: 0, strayAfterMs: HOUR_MS, keep: [] });
    expect(plan.live).toMatchObject([{ timeline: 2, hasBackup: true }]);
    expect(kept(plan)).toEqual(['1', '2']);
    expect(gone(plan)).toEqual([]);
  });

  test('may begin with an incremental backup: its parents are needed as files, without their WAL', async () => {
    const life = new Life(1);
    life.backup(0, PRIMARY);
    life.write(0, 4n * SEGMENT);
    life.increment(0, SEGMENT);
    life.wait(48);
    life.write(0, SEGMENT);
    const plan = await prune(life.remains(), { keepDays: 1, keepWalMs: 0, strayAfterMs: HOUR_MS, keep: [] });
    expect(kept(plan)).toEqual(['2']);
    expect(plan.givenUp).toMatchObject([{ becomes: 'lost', parentOf: [{ path: 'file:///backups/2' }] }]);
    expect(gone(plan)).toContain('0000000100000000000000FA');
  });
});

describe('besides the policy', () => {
  test('nothing younger than keep_wal goes, nor what lies behind it', async () => {
    const life = threeBackups();
    life.touch(1);
    const plan = await prune(life.remains(), { ...LEAST, keepWalMs: DAY_MS });
    expect(gone(plan)).toEqual(['0000000100000000000000FA', '0000000100000000000000FA.0000008C.backup'].toReversed());
    expect(explain(plan, '0000000100000000000000FC').reasons).toEqual(['younger than keep_wal, or behind WAL that is']);
  });

  test('a pinned backup is kept with its WAL, by its label, its path, or the end of its path', async () => {
    for (const pattern of ['primary 1', 'file:///backups/1', '1', 'primary ?']) {
      const plan = await prune(threeBackups().remains(), { ...LEAST, keep: [pattern] });
      expect(kept(plan)[0]).toBe('1');
      expect(gone(plan)).toEqual([]);
    }
  });

  test('a pinned backup is kept also where its WAL is not whole', async () => {
    const life = threeBackups();
    life.lose(0);
    const plan = await prune(life.remains(), { ...LEAST, keep: ['primary 1'] });
    expect(plan.kept[0]?.assessed.problems).toHaveLength(1);
    expect(gone(plan)).toEqual([]);
  });

  test('a vouched backup counts, by its backup history file', async () => {
    const remains = { ...threeBackups().remains(), backups: [] };
    const there = await look(remains, ['primary *']);
    const plan = planPrune(there, LEAST, new Date(remains.nowMs));
    expect(plan.kept.map(({ assessed }) => [assessed.isVouched, assessed.backup.label])).toEqual([[true, 'primary 3']]);
    expect(gone(plan)).not.toEqual([]);
  });

  test('a .partial goes as the segment would whose name it has', async () => {
    const life = new Life(1);
    life.write(0, 3n * SEGMENT);
    life.promote(0);
    life.write(0, 2n * SEGMENT);
    life.promote(0);
    life.write(1, 2n * SEGMENT);
    life.backup(1, PRIMARY);
    life.wait(48);
    life.write(1, SEGMENT);
    const remains = life.remains();
    const plan = await prune(remains, LEAST);
    const partials = [...remains.objects.keys()].filter((name) => name.endsWith('.partial'));
    expect(partials.map((name) => [name, fate(plan, name)])).toEqual([
      ['0000000100000000000000FD.partial', 'goes'],
      ['0000000100000000000000FF.partial', 'stays'],
    ]);
    const careful = await prune(remains, { ...LEAST, keepWalMs: 3 * DAY_MS });
    expect(partials.map((name) => fate(careful, name))).toEqual(['stays', 'stays']);
  });
});

describe('what is given up', () => {
  test('keeps its consistency by its own WAL, or loses nothing, or was not restorable before', async () => {
    const life = new Life(1);
    life.backup(0, STANDBY);
    life.backup(0, { ...PRIMARY, brings: true });
    life.write(0, 4n * SEGMENT);
    life.backup(0, PRIMARY);
    life.wait(48);
    life.write(0, SEGMENT);
    const remains = life.remains();
    remains.objects.delete('0000000100000000000000FA');
    expect(givenUp(await prune(remains, LEAST))).toEqual({ 1: 'not-restorable', 2: 'shorter' });
  });

  test('brings its own WAL, and what follows went before: the next plan shows the gap, and does not call it as before', async () => {
    const life = new Life(1);
    life.backup(0, { ...STANDBY, brings: true });
    life.write(0, 4n * SEGMENT);
    life.recover(0, 2n * SEGMENT, false);
    life.wait(48);
    life.write(1, SEGMENT);
    life.backup(1, PRIMARY);
    const remains = life.remains();
    const plan = await prune(remains, LEAST);
    expect(givenUp(plan)).toEqual({ 1: 'shorter' });
    for (const name of gone(plan)) remains.objects.delete(name);
    const next = await prune(remains, LEAST);
    expect(givenUp(next)).toEqual({ 1: 'already-short' });
    expect(gone(next)).toEqual([]);
    const [missing, newest] = ['0000000100000000000000FC', '0000000100000000000000FE'];
    expect(next.givenUp[0]?.assessed.windows).toMatchObject([
      { timeline: 1, gap: { missing, next: newest } },
      { timeline: 2, gap: { missing } },
    ]);
  });

  test('loses nothing where others need the same WAL, and there is no gap in it', async () => {
    const life = threeBackups();
    const plan = await prune(life.remains(), { ...LEAST, keepWalMs: 40 * DAY_MS });
    expect(givenUp(plan)).toEqual({ 1: 'as-before', 2: 'as-before' });
  });

  test('a missing parent, and one that is broken itself', async () => {
    const life = new Life(1);
    life.backup(0, PRIMARY);
    life.increment(0, SEGMENT);
    life.increment(0, SEGMENT);
    life.backup(0, PRIMARY);
    const remains = life.remains();
    const [, ...orphans] = remains.backups;
    const { backups } = await look({ ...remains, backups: orphans });
    expect(backups.map(({ problems }) => problems)).toEqual([
      ['the backup that it builds upon, from 0/FA00008C on timeline 1, is not there'],
      ["what it builds upon can't be restored: file:///backups/2"],
      [],
    ]);
  });

  test('an ambiguous parent keeps every candidate', async () => {
    const life = new Life(1);
    life.backup(0, PRIMARY);
    life.increment(0, SEGMENT);
    const remains = life.remains();
    const twin = remains.backups.slice(0, 1).map((backup) => ({ ...backup, path: 'file:///elsewhere/1' }));
    const { backups } = await look({ ...remains, backups: [...remains.backups, ...twin] });
    expect(backups.at(-1)?.chain.parents.map(({ path }) => path)).toEqual(['file:///backups/1', 'file:///elsewhere/1']);
  });
});

describe('explains', () => {
  test.each([
    ['00000009.history', 'not-there'],
    ['000000010000000000000001', 'not-there'],
    ['README', 'untouched'],
    [`7322222222222222222/wal/0000000100000000/0000000100000000000000FA`, 'untouched'],
    [keyOf('0000000100000000000000FA'), 'goes'],
    ['0000000100000000000000FA.0000008C.backup', 'goes'],
    ['000000010000000100000006', 'stays'],
  ])('%s: %s', async (name, expected) => {
    expect(fate(await prune(threeBackups().remains(), LEAST), name)).toBe(expected);
  });

  test('who needs it', async () => {
    const plan = await prune(threeBackups().remains(), { ...LEAST, keepBackups: 2 });
    expect(explain(plan, '000000010000000100000006').reasons).toEqual([
      'needed by kept backup file:///backups/2',
      'needed by kept backup file:///backups/3',
    ]);
  });
});
