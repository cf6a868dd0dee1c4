import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { Fetched } from '../../src/agent/fetch-ahead.ts';
import { StorageError } from '../../src/storage/errors.ts';
import { waitFor } from '../harness/wait.ts';
import { Depot, segmentName } from './depot.ts';

/** What lies ready when it is asked for is whole, was read once, and is never more than was agreed on. */

const NAMES = Array.from({ length: 20 }, (_, index) => segmentName(index + 1));

function away(): Promise<never> {
  return Promise.reject(new StorageError('unreachable', 'away', { retryable: false }));
}

/** Lets everything that waits for nothing but its turn go on. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

function statusOf(fetched: Fetched): string {
  return fetched.is === 'failed' ? fetched.failure.kind : fetched.is;
}

describe('a recovery', () => {
  test('gets each segment whole, and each is read once, the last one too, which is asked for twice', async () => {
    const depot = await Depot.open({ segments: 12 });
    const names = NAMES.slice(0, 12);
    for (const name of names) {
      expect((await depot.take(name)).equals(depot.contents.get(name) ?? Buffer.alloc(0))).toBe(true);
      await turns();
    }
    const end = segmentName(13);
    expect(statusOf(await depot.ask(end))).toBe('absent');
    expect(statusOf(await depot.ask(end))).toBe('absent');
    const last = segmentName(12);
    expect((await depot.take(last)).equals(depot.contents.get(last) ?? Buffer.alloc(0))).toBe(true);
    const counts = depot.counts();
    expect(names.map((name) => counts[name])).toEqual(names.map(() => 1));
    depot.fetchAhead.close();
    await depot.untilReady(0);
  });

  test('that asks at once, and never waits, has none of them read twice', async () => {
    const depot = await Depot.open({ segments: 12 });
    const names = NAMES.slice(0, 12);
    for (const name of names) await depot.take(name);
    const counts = depot.counts();
    expect(names.map((name) => counts[name])).toEqual(names.map(() => 1));
    depot.fetchAhead.close();
    await depot.untilReady(0);
  });

  test('finds ready what it asks for next: first one, then two, then four', async () => {
    const depot = await Depot.open({ segments: 12 });
    await depot.begin(4);
    expect(depot.store.asked).toEqual(NAMES.slice(0, 12));
  });

  test('that jumps begins anew, and what it does not want any more is removed', async () => {
    const depot = await Depot.open({ segments: 12 });
    await depot.begin(3);
    await depot.take(segmentName(10));
    await depot.untilReady(1);
    await depot.take(segmentName(1));
    await depot.untilReady(1);
    expect(depot.counts()[segmentName(2)]).toBe(2);
  });

  test('that follows a fork finds the segment of the child ready, and nothing of what the parent left', async () => {
    const others = [5, 6, 7].map((number) => segmentName(number, 2));
    const depot = await Depot.open({ segments: 12, others });
    depot.cluster.walFile('00000002.history', '1\t0/500100\ta test\n');
    await depot.begin(3);
    await waitFor('the child', () => depot.store.asked.includes(segmentName(7, 2)), 5_000);
    expect(depot.store.asked).not.toContain(segmentName(5));
    expect(depot.store.asked).not.toContain(segmentName(6));
  });
});

describe('the bound', () => {
  test.each([
    [1, 18],
    [16, 8],
    [32, 4],
    [64, 2],
    [128, 0],
    [1024, 0],
  ])('segments of %i MB: at most %i ahead', async (segmentMb, most) => {
    const depot = await Depot.open({ segments: 20, segmentMb });
    // Of files of 64 MB and more, some names follow on that are not those that were made.
    const followed = segmentMb > 32 ? 3 : 10;
    let crowd = 0;
    for (const name of NAMES.slice(0, followed)) {
      await depot.take(name);
      await turns();
      crowd = Math.max(crowd, depot.temporaries().length);
    }
    await waitFor('what is under way', () => depot.isQuiet());
    expect(crowd).toBeLessThanOrEqual(most);
    if (segmentMb <= 32) await depot.untilReady(Math.min(most, 20 - followed));
  });

  test('of a hundred and twenty-eight files of 1 MB holds as well, however often it is asked', async () => {
    const depot = await Depot.open({ segments: 20 });
    const most = new Map<number, number>();
    for (const name of NAMES) {
      await depot.take(name);
      await turns();
      most.set(most.size + 1, depot.temporaries().length);
    }
    expect(Math.max(...most.values())).toBeLessThanOrEqual(16);
    expect(depot.counts()[segmentName(21)]).toBeGreaterThanOrEqual(1);
  });

  test('leaves three quarters of what is free on the disk alone', async () => {
    let free = 64 * 1024 * 1024;
    const depot = await Depot.open({ segments: 12, freeBytes: () => free });
    await depot.begin(4);
    free = 9 * 1024 * 1024;
    await depot.take(segmentName(12));
    await depot.untilReady(0);
    await depot.take(segmentName(1));
    await depot.untilReady(1);
    await depot.take(segmentName(2));
    await depot.untilReady(2);
    await depot.take(segmentName(3));
    await depot.untilReady(3);
    free = 3 * 1024 * 1024;
    await depot.take(segmentName(4));
    await depot.untilReady(2);
    await depot.take(segmentName(5));
    await depot.untilReady(1);
  });

  test('keeps no sealed copy of a segment that would take up too much memory', async () => {
    const depot = await Depot.open({ segments: 2, segmentMb: 1024 });
    const large = 129 * 1024 * 1024;
    depot.store.through = (_, { info, bytes }) => ({ info: { ...info, size: large }, bytes });
    await depot.take(segmentName(1));
    await depot.take(segmentName(1));
    expect(depot.counts()).toEqual({ [segmentName(1)]: 2 });
  });
});

describe('what is not there', () => {
  test('is not remembered: it is asked for again when the server asks', async () => {
    const depot = await Depot.open({ segments: 4 });
    const held = depot.store.objects.get(depot.key(segmentName(3)));
    if (held === undefined) throw new Error('there is a third');
    depot.store.objects.delete(depot.key(segmentName(3)));
    await depot.take(segmentName(1));
    await depot.take(segmentName(2));
    await waitFor('the question', () => depot.store.asked.includes(segmentName(3)));
    await depot.untilReady(0);
    expect(statusOf(await depot.ask(segmentName(3)))).toBe('absent');
    depot.store.objects.set(depot.key(segmentName(3)), held);
    expect((await depot.take(segmentName(3))).equals(depot.contents.get(segmentName(3)) ?? Buffer.alloc(0))).toBe(true);
    await depot.untilReady(1);
  });

  test('ends it: nothing behind it stays', async () => {
    const depot = await Depot.open({ segments: 12 });
    depot.store.objects.delete(depot.key(segmentName(6)));
    await depot.begin(2);
    await depot.take(segmentName(3));
    await waitFor('the question', () => depot.store.asked.includes(segmentName(6)));
    await depot.untilReady(2);
  });
});

describe('what goes wrong ahead of its time', () => {
  test('is told only when it is asked for, and then it is looked at again', async () => {
    const depot = await Depot.open({ segments: 6 });
    const held = depot.store.objects.get(depot.key(segmentName(3)));
    depot.damage(segmentName(3));
    await depot.begin(1);
    await depot.take(segmentName(2));
    await waitFor('the question', () => depot.store.asked.includes(segmentName(3)));
    await depot.untilReady(0);
    expect(await depot.ask(segmentName(3))).toMatchObject({ is: 'failed', failure: { kind: 'invalid' } });
    expect(depot.temporaries()).toEqual([]);
    if (held !== undefined) depot.store.objects.set(depot.key(segmentName(3)), held);
    await depot.take(segmentName(3));
  });

  test('is over when it is asked for: nobody hears of it', async () => {
    const depot = await Depot.open({ segments: 6 });
    depot.store.before = (name) => (name === segmentName(3) ? away() : Promise.resolve());
    await depot.begin(1);
    await depot.take(segmentName(2));
    await waitFor('the question', () => depot.store.asked.includes(segmentName(3)));
    depot.store.before = () => Promise.resolve();
    await depot.take(segmentName(3));
    await depot.take(segmentName(4));
  });

  test('falls through to the next archive, with a warning', async () => {
    const depot = await Depot.open({ segments: 6, stores: 2 });
    for (const number of [2, 3, 4]) depot.damage(segmentName(number));
    for (const number of [1, 2, 3, 4]) {
      const fetched = await depot.ask(segmentName(number));
      expect(fetched.is === 'landed' ? fetched.warnings.join() : fetched.is).toMatch(
        number === 1 ? /^$/ : /taken from/,
      );
      await waitFor('the next one', () => depot.store.asked.includes(segmentName(number + 1)));
    }
    // The copy that was kept is that of the archive which had it.
    const again = await depot.ask(segmentName(4));
    expect(statusOf(again)).toBe('landed');
    expect(depot.stores.map(({ asked }) => asked.filter((name) => name === segmentName(4)).length)).toEqual([1, 1]);
  });

  test('takes no time from the server that it has not: what it waited for already counts', async () => {
    const limitMs = 1_200;
    const depot = await Depot.open({ segments: 6, fetch: { deadlineMs: limitMs } });
    await depot.begin(1);
    const attempts: { readonly at: number; readonly remainingMs: number }[] = [];
    depot.store.before = (name, deadline) => {
      if (name === segmentName(3)) attempts.push({ at: performance.now(), remainingMs: deadline.remainingMs() });
      return new Promise<void>(() => undefined);
    };
    await depot.take(segmentName(2));
    await waitFor('the third to hang', () => attempts.length === 1);
    const askedAt = performance.now();
    expect(await depot.ask(segmentName(3))).toMatchObject({ is: 'failed', failure: { kind: 'unreachable' } });
    expect(attempts).toHaveLength(2);
    for (const { at, remainingMs } of attempts.slice(1))
      expect(remainingMs).toBeLessThanOrEqual(Math.max(1_000, limitMs - (at - askedAt) + 50));
  });
});

test('a disk that is full ends what is ahead, which makes room for what the server asks for', async () => {
  const depot = await Depot.open({ segments: 12 });
  await depot.begin(3);
  depot.store.before = () => Promise.reject(new StorageError('full', 'no room', { retryable: false }));
  await depot.take(segmentName(4));
  await depot.untilReady(3);
  depot.sweep();
  for (const number of [5, 6, 7]) await depot.ask(segmentName(number));
  expect(await depot.ask(segmentName(8))).toMatchObject({ is: 'failed', failure: { kind: 'unwritable' } });
  expect(depot.temporaries()).toEqual([]);
});

describe('what is dropped', () => {
  test('in the middle of its way leaves no file, and no descriptor', async () => {
    const depot = await Depot.open({ segments: 12 });
    await depot.begin(3);
    let reading = 0;
    depot.store.through = (_, { info, bytes }) => ({ info, bytes: endless(bytes, () => (reading += 1)) });
    await depot.take(segmentName(4));
    await waitFor('two to be read', () => reading >= 2);
    depot.store.through = (_, object) => object;
    await depot.take(segmentName(11));
    await depot.untilReady(1);
    depot.fetchAhead.close();
    await depot.untilReady(0);
  });

  test('with the agent in the middle of what the server waits for leaves none either', async () => {
    const depot = await Depot.open({ segments: 2 });
    let reading = 0;
    depot.store.through = (_, { info, bytes }) => ({ info, bytes: endless(bytes, () => (reading += 1)) });
    const asked = depot.ask(segmentName(1));
    await waitFor('it to be written', () => reading === 1 && depot.temporaries().length === 1);
    depot.fetchAhead.close();
    expect(depot.temporaries()).toEqual([]);
    expect(statusOf(await asked)).toBe('absent');
    await depot.untilReady(0);
  });

  test('because somebody asks for another one is not handed over, nor left lying', async () => {
    const depot = await Depot.open({ segments: 6 });
    let release: () => void = () => undefined;
    depot.store.before = (name) =>
      name === segmentName(2) ? new Promise<void>((resolve) => (release = resolve)) : Promise.resolve();
    const first = depot.ask(segmentName(2));
    await waitFor('the question', () => depot.store.asked.includes(segmentName(2)));
    await depot.take(segmentName(4));
    release();
    expect(statusOf(await first)).toBe('absent');
    await depot.untilReady(1);
  });
});

test('a file that somebody has swept is no bug, and is fetched again', async () => {
  const depot = await Depot.open({ segments: 6 });
  let swept = 0;
  depot.store.through = (name, { info, bytes }) => ({
    info,
    bytes: after(bytes, () => {
      if (name !== segmentName(2) || swept > 0) return;
      swept += 1;
      depot.sweep();
    }),
  });
  await depot.take(segmentName(1));
  await waitFor('it to be swept', () => swept === 1);
  await waitFor('nothing to be open', () => depot.isQuiet());
  expect((await depot.take(segmentName(2))).equals(depot.contents.get(segmentName(2)) ?? Buffer.alloc(0))).toBe(true);
});

test('whatever is asked for in whatever order, each answer is right, and nothing is left', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 14 }), fc.nat(), async (numbers, seed) => {
      const depot = await opened();
      for (const [index, number] of numbers.entries()) {
        const name = segmentName(number);
        const fetched = await depot.ask(name);
        expect(statusOf(fetched)).toBe(number <= 8 ? 'landed' : 'absent');
        if (fetched.is === 'landed') {
          const bytes = readFileSync(depot.cluster.walPath(fetched.temporary));
          expect(bytes.equals(depot.contents.get(name) ?? Buffer.alloc(0))).toBe(true);
        }
        if (((seed >> index) & 1) === 1) await turns();
        expect(depot.temporaries().length).toBeLessThanOrEqual(9);
      }
      depot.fetchAhead.close();
      await depot.untilReady(0);
    }),
    { numRuns: 25 },
  );
}, 60_000);

let shared: Promise<Depot> | undefined;
function opened(): Promise<Depot> {
  shared ??= Depot.open({ segments: 8, segmentMb: 16 });
  return shared;
}

async function* endless(bytes: AsyncIterable<Uint8Array>, begun: () => void): AsyncGenerator<Uint8Array> {
  let count = 0;
  for await (const piece of bytes) {
    count += 1;
    if (count === 3) {
      begun();
      await new Promise<void>(() => undefined);
    }
    yield piece;
  }
}

async function* after(bytes: AsyncIterable<Uint8Array>, act: () => void): AsyncGenerator<Uint8Array> {
  for await (const piece of bytes) yield piece;
  act();
}
