import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { withBandwidth } from '../../src/agent/bandwidth.ts';
import { Deadline } from '../../src/storage/deadline.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { bodyOf } from '../storage/bodies.ts';
import { MemoryStorage } from '../storage/memory.ts';

const KIB = 1024;
const MIB = 1024 * KIB;

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** A store that takes a MiB a second, and bodies of noise for it. */
function paced(): { inner: MemoryStorage; storage: Storage } {
  const inner = new MemoryStorage();
  return { inner, storage: withBandwidth(inner, MIB) };
}

/** Starts creating bodies of these lengths, and tells which are there. */
function create(
  lengths: readonly number[],
  deadline = new Deadline(60_000),
): { store: MemoryStorage; ends: Promise<void>[] } {
  const { inner, storage } = paced();
  const ends = lengths.map((length, index) =>
    storage.create(String(index), bodyOf(new Uint8Array(length).fill(7), 300_000), deadline),
  );
  for (const end of ends) end.catch(() => undefined);
  return { store: inner, ends };
}

test('a body takes its time, and comes whole', async () => {
  const { store, ends } = create([3 * MIB]);
  await vi.advanceTimersByTimeAsync(2_800);
  expect(store.objects.size).toBe(0);
  await vi.advanceTimersByTimeAsync(300);
  await Promise.all(ends);
  expect(store.objects.get('0')?.bytes.equals(Buffer.alloc(3 * MIB, 7))).toBe(true);
});

test('bodies that are sent at once share what there is', async () => {
  const { store, ends } = create([MIB, MIB, MIB, MIB]);
  await vi.advanceTimersByTimeAsync(3_700);
  expect(store.objects.size).toBeLessThan(4);
  await vi.advanceTimersByTimeAsync(400);
  await Promise.all(ends);
  expect(store.objects.size).toBe(4);
});

test('a pause is not made up for afterwards', async () => {
  const { inner, storage } = paced();
  await vi.advanceTimersByTimeAsync(60_000);
  const end = storage.create('after', bodyOf(new Uint8Array(2 * MIB)), new Deadline(60_000));
  await vi.advanceTimersByTimeAsync(1_800);
  expect(inner.objects.size).toBe(0);
  await vi.advanceTimersByTimeAsync(300);
  await end;
});

test('a deadline ends the wait', async () => {
  const { store, ends } = create([100 * MIB], new Deadline(5_000, { what: 'push' }));
  await vi.advanceTimersByTimeAsync(5_100);
  await expect(Promise.all(ends)).rejects.toMatchObject({ kind: 'unreachable' });
  expect(store.objects.size).toBe(0);
});

test('what has no body is not held up', async () => {
  const { inner, storage } = paced();
  const end = storage.create('held', bodyOf(new Uint8Array(10 * MIB)), new Deadline(60_000));
  await inner.create('there', bodyOf(Buffer.from('there')), new Deadline(60_000));
  const deadline = new Deadline(1_000);
  expect(await storage.head('there', deadline)).toMatchObject({ size: 5 });
  const names: string[] = [];
  for await (const page of storage.list('', {}, deadline)) names.push(...page.map(({ key }) => key));
  expect(names).toEqual(['there']);
  await storage.delete(['there'], deadline);
  expect(inner.objects.size).toBe(0);
  await vi.advanceTimersByTimeAsync(10_100);
  await end;
});
