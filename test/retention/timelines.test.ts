import { describe, expect, test } from 'vitest';

import { buildTimelines, timelineAt, type HistoryFile, type Timelines } from '../../src/retention/timelines.ts';
import { parseLsn } from '../../src/wal/lsn.ts';
import { toTimelineId } from '../../src/wal/name.ts';
import { failureOf } from './failure.ts';
import { known } from '../wal/arbitraries.ts';

const id = (value: number) => known(toTimelineId(value));

/** Each history as `1 0/3000000, 2 0/5000000`. */
function build(histories: Readonly<Record<number, string>>, seen: readonly number[] = [1]): Timelines {
  const files = Object.entries(histories).map(([timeline, text]): HistoryFile => {
    const lines = text.split(', ').map((line) => `${line.replace(' ', '\t')}\tno recovery target specified\n`);
    return { timeline: id(Number(timeline)), text: lines.join('\n') };
  });
  return buildTimelines(files, seen.map(id));
}

/** The way to a timeline, as `1 until 0/3000000, 2`. */
function way(timelines: Timelines, timeline: number): string {
  const spans = known(timelines.get(id(timeline))).spans;
  const shown = spans.map(
    (span) => `${span.timeline}${span.end === undefined ? '' : ` until ${span.end.toString(16)}`}`,
  );
  return shown.join(', ');
}

describe('the graph of timelines', () => {
  test('a single timeline has no history', () => {
    const timelines = build({});
    expect([...timelines.keys()]).toEqual([1]);
    expect(timelines.get(id(1))).toMatchObject({ parent: undefined, descendants: [] });
  });

  test('forks of forks: parents, ways and descendants', () => {
    const timelines = build({ 2: '1 0/3000000', 3: '1 0/3000000, 2 0/5000000', 4: '1 0/2000000' });
    expect(timelines.get(id(3))?.parent).toEqual({ timeline: 2, fork: 0x5000000n });
    expect(way(timelines, 3)).toBe('1 until 3000000, 2 until 5000000, 3');
    expect(timelines.get(id(1))?.descendants).toEqual([
      { timeline: 2, fork: 0x3000000n },
      { timeline: 3, fork: 0x3000000n },
      { timeline: 4, fork: 0x2000000n },
    ]);
    expect(timelines.get(id(2))?.descendants).toEqual([{ timeline: 3, fork: 0x5000000n }]);
  });

  test('a recovery on timeline 2 to before its own fork: the server names 2 as parent, the way never comes to it', () => {
    const timelines = build({ 2: '1 0/5000000', 3: '1 0/5000000, 2 0/3000000' });
    expect(way(timelines, 3)).toBe('1 until 3000000, 3');
    expect(timelines.get(id(3))?.parent).toEqual({ timeline: 1, fork: 0x3000000n });
    expect(timelines.get(id(2))?.descendants).toEqual([]);
  });

  test('a recovery to before two older forks', () => {
    const timelines = build({
      2: '1 0/2000000',
      3: '1 0/2000000, 2 0/5000000',
      4: '1 0/2000000, 2 0/5000000, 3 0/1000000',
    });
    expect(way(timelines, 4)).toBe('1 until 1000000, 4');
  });

  test('the end of a timeline belongs to its child', () => {
    const timeline = known(build({ 2: '1 0/3000000' }).get(id(2)));
    expect(timelineAt(timeline, parseLsn('0/2FFFFFF'))).toBe(1);
    expect(timelineAt(timeline, parseLsn('0/3000000'))).toBe(2);
  });

  test('a cluster that came with timeline 5 has its root there', () => {
    expect([...build({}, [5]).keys()]).toEqual([5]);
    expect(way(build({}, [5]), 5)).toBe('5');
  });

  test('a cluster that came with timeline 5 and failed over: the history of 6 tells of 5', () => {
    const timelines = build({ 6: '1 0/2000000, 3 0/3000000, 5 0/5000000' }, [5, 6]);
    expect(way(timelines, 5)).toBe('1 until 2000000, 3 until 3000000, 5');
    expect(way(timelines, 6)).toBe('1 until 2000000, 3 until 3000000, 5 until 5000000, 6');
  });

  test.each([
    ['a timeline without history beside a lower one', {}, [1, 2], 'no 00000002.history'],
    ['a timeline without history below a known one', { 3: '1 0/3000000' }, [1, 2, 3], 'no 00000002.history'],
    [
      'histories that disagree on a fork',
      { 2: '1 0/3000000', 3: '1 0/4000000, 2 0/5000000' },
      [1],
      'contradict each other',
    ],
    [
      'histories that disagree on a parent',
      { 3: '1 0/3000000', 4: '1 0/3000000, 2 0/3500000, 3 0/4000000' },
      [1],
      'contradict',
    ],
    ['a history of its own future', { 2: '3 0/3000000' }, [1], 'names timeline 3 as an ancestor of timeline 2'],
    ['a history of itself', { 2: '1 0/3000000, 2 0/4000000' }, [1], 'names timeline 2 as an ancestor'],
    ['a history that is no history', { 2: 'garbage' }, [1], "00000002.history can't be read"],
  ])('%s is refused', (_, histories, seen, message) => {
    const failure = failureOf(() => build(histories, seen));
    expect(failure).toMatchObject({ kind: 'invalid' });
    expect(failure.message).toContain(message);
    expect(failure.hint).not.toBe('');
  });

  test('an empty history file, as a crash leaves it, is refused', () => {
    expect(failureOf(() => buildTimelines([{ timeline: id(2), text: '' }], [id(1)])).message).toContain(
      'names no parent',
    );
  });
});
