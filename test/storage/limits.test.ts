import { describe, expect, it } from 'vitest';
import { Deadline } from '../../src/storage/deadline.ts';
import { StorageError } from '../../src/storage/errors.ts';
import { withLimits } from '../../src/storage/limits.ts';
import { withRetry } from '../../src/storage/retry.ts';
import type { ListedObject, Storage } from '../../src/storage/storage.ts';
import { announcing, bodyOf, collect, noise, text } from './bodies.ts';
import { FAULTS, FaultyStorage, randomFrom, type Fault } from './faults.ts';
import { MemoryStorage } from './memory.ts';

const bytes = noise(35, 1);

async function filled(...faults: Fault[]): Promise<{ memory: MemoryStorage; faulty: FaultyStorage }> {
  const memory = new MemoryStorage(10);
  const deadline = new Deadline(10_000);
  for (const key of ['a', 'b', 'c']) await memory.create(key, bodyOf(bytes), deadline);
  deadline.close();
  return { memory, faulty: new FaultyStorage(memory, faults) };
}

async function allOf(pages: AsyncIterable<readonly ListedObject[]>): Promise<string[]> {
  const keys: string[] = [];
  for await (const page of pages) keys.push(...page.map(({ key }) => key));
  return keys;
}

describe('limits', () => {
  const verbs: [string, (storage: Storage, deadline: Deadline) => Promise<unknown>][] = [
    ['create', (storage, deadline) => storage.create('new', text('1'), deadline)],
    ['get', (storage, deadline) => storage.get('a', deadline)],
    ['head', (storage, deadline) => storage.head('a', deadline)],
    ['list', (storage, deadline) => allOf(storage.list('', {}, deadline))],
    ['delete', (storage, deadline) => storage.delete(['a'], deadline)],
  ];

  it.each(verbs)('free the caller of a %s that hangs when the deadline passes', async (_, act) => {
    const { faulty } = await filled('hang');
    const deadline = new Deadline(20, { what: 'the test' });
    await expect(act(withLimits(faulty, { cleanUpMs: 5 }), deadline)).rejects.toMatchObject({
      kind: 'unreachable',
      retryable: false,
      message: 'the test was not done within 20 ms',
    });
  });

  it('give a create that is cut off a moment to clean up', async () => {
    const { memory } = await filled();
    let isClean = false;
    const slow = Object.assign(Object.create(memory) as MemoryStorage, {
      create: (_key: string, _body: unknown, given: Deadline): Promise<void> =>
        new Promise((_resolve, reject) => {
          given.signal.addEventListener('abort', () => {
            setTimeout(() => {
              isClean = true;
              reject(new StorageError('unreachable', 'cut off'));
            }, 20);
          });
        }),
    });
    const created = withLimits(slow).create('new', text('1'), new Deadline(10, { what: 'the test' }));
    await expect(created).rejects.toMatchObject({ message: 'the test was not done within 10 ms' });
    expect(isClean).toBe(true);
  });

  it.each(verbs)('give up an attempt of a %s that hangs, so that it is made again', async (_, act) => {
    const { faulty } = await filled('hang', 'hang');
    const deadline = new Deadline(30_000);
    await act(withRetry(withLimits(faulty, { attemptMs: 20, cleanUpMs: 5 }), { baseMs: 1 }), deadline);
    deadline.close();
    expect(faulty.calls).toHaveLength(3);
  });

  it('name the call that hung', async () => {
    const { faulty } = await filled('hang');
    const deadline = new Deadline(30_000);
    await expect(withLimits(faulty, { attemptMs: 20, cleanUpMs: 5 }).head('a', deadline)).rejects.toMatchObject({
      message: 'head of memory://test/a had no answer for 20 ms',
      retryable: true,
    });
    deadline.close();
  });

  it('free the reader of a body or a listing that stalls', async () => {
    const { faulty } = await filled('stall', 'stall');
    const deadline = new Deadline(30_000);
    const storage = withLimits(faulty, { attemptMs: 20, cleanUpMs: 5 });
    const object = await storage.get('a', deadline);
    await expect(collect(object.bytes)).rejects.toMatchObject({ kind: 'unreachable', retryable: true });
    await expect(allOf(storage.list('', { limit: 1 }, deadline))).rejects.toMatchObject({ kind: 'unreachable' });
    deadline.close();
  });

  it('count every piece and page as progress', async () => {
    const { faulty } = await filled('slow', 'slow');
    let progress = 0;
    class Counted extends Deadline {
      override progress(): void {
        progress += 1;
        super.progress();
      }
    }
    const deadline = new Counted(30_000, { idleMs: 10_000 });
    const storage = withLimits(faulty);
    const object = await storage.get('a', deadline);
    await collect(object.bytes);
    expect(progress).toBeGreaterThanOrEqual(4);
    progress = 0;
    await allOf(storage.list('', { limit: 1 }, deadline));
    expect(progress).toBeGreaterThanOrEqual(3);
    deadline.close();
  });

  it('do not count the time that a slow reader takes', async () => {
    const { faulty } = await filled();
    const deadline = new Deadline(30_000);
    const object = await withLimits(faulty, { attemptMs: 20, cleanUpMs: 5 }).get('a', deadline);
    const pieces: Uint8Array[] = [];
    for await (const piece of object.bytes) {
      await deadline.wait(40);
      pieces.push(piece);
    }
    expect(Buffer.concat(pieces).equals(bytes)).toBe(true);
    deadline.close();
  });

  it('abort the signal of an attempt that was given up', async () => {
    const { memory } = await filled();
    let seen: AbortSignal | undefined;
    const stuck = new Proxy(memory, {
      get: (target, property, receiver): unknown =>
        property === 'head'
          ? (_: string, { signal }: Deadline): Promise<never> => {
              seen = signal;
              return new Promise(() => undefined);
            }
          : Reflect.get(target, property, receiver),
    });
    const deadline = new Deadline(30_000);
    await expect(withLimits(stuck, { attemptMs: 10 }).head('a', deadline)).rejects.toBeInstanceOf(StorageError);
    expect(seen?.aborted).toBe(true);
    expect(deadline.signal.aborted).toBe(false);
    deadline.close();
  });

  it('let the backend clean up when the reader stops early', async () => {
    const { memory } = await filled();
    let ended = false;
    const watched = new Proxy(memory, {
      get: (target, property, receiver): unknown =>
        property === 'list'
          ? async function* (): AsyncGenerator<readonly ListedObject[], void, undefined> {
              try {
                yield await Promise.resolve([]);
                yield [];
              } finally {
                ended = true;
              }
            }
          : Reflect.get(target, property, receiver),
    });
    const deadline = new Deadline(30_000);
    for await (const page of withLimits(watched).list('', {}, deadline)) {
      expect(page).toEqual([]);
      break;
    }
    await expect.poll(() => ended).toBe(true);
    deadline.close();
  });

  it('tell what the source of a body threw, whatever the backend made of it', async () => {
    const { memory } = await filled();
    const wrapping = new Proxy(memory, {
      get: (target, property, receiver): unknown =>
        property === 'create'
          ? (...given: Parameters<Storage['create']>): Promise<void> =>
              memory.create(...given).catch((cause: unknown) => {
                throw new StorageError('unreachable', 'the request broke off', { cause });
              })
          : Reflect.get(target, property, receiver),
    });
    const failure = new Error('the file has changed');
    const body = announcing(20, async function* () {
      yield await Promise.resolve(noise(10, 1));
      throw failure;
    });
    const deadline = new Deadline(30_000);
    await expect(withRetry(withLimits(wrapping)).create('new', body, deadline)).rejects.toBe(failure);
    deadline.close();
  });
});

describe.each([1, 2, 3, 4, 5, 6])('on a bad day (seed %i)', (seed) => {
  it('what was created is there, whole, and nothing waits for ever', async () => {
    const memory = new MemoryStorage(1_000);
    const faulty = new FaultyStorage(memory, { seed, rate: 0.6 });
    const options = { baseMs: 1, capMs: 2, random: randomFrom(seed) };
    const storage = withRetry(withLimits(faulty, { attemptMs: 15, cleanUpMs: 5 }), options);
    const deadline = new Deadline(20_000, { what: 'the bad day' });
    const contents = Array.from({ length: 12 }, (_, index) => noise(index * 700, index));
    const outcomes = await Promise.allSettled(
      contents.map((content, index) => storage.create(`key-${String(index)}`, bodyOf(content, 512), deadline)),
    );
    for (const [index, outcome] of outcomes.entries()) {
      const held = memory.objects.get(`key-${String(index)}`);
      // `exists` after a lost answer: it is ours. Given up: it may be there or not, but never in part.
      if (outcome.status === 'fulfilled' || isExists(outcome.reason)) expect(held).toBeDefined();
      if (held !== undefined) expect(held.bytes.equals(contents[index] ?? Buffer.of(1))).toBe(true);
    }
    for (const [key, { bytes: expected }] of memory.objects) {
      const read = await storage
        .get(key, deadline)
        .then(
          (object) => collect(object.bytes),
          () => undefined,
        )
        .catch(() => undefined);
      if (read !== undefined) expect(read.equals(expected)).toBe(true);
    }
    const listed = await allOf(storage.list('', { limit: 3 }, deadline)).catch(() => undefined);
    if (listed !== undefined) expect(listed.sort()).toEqual([...memory.objects.keys()].sort());
    expect(deadline.signal.aborted).toBe(false);
    deadline.close();
    const hit = new Set(faulty.calls.map((call) => call.split(': ')[1]));
    expect(hit.size, `faults that were met: ${[...hit].join(', ')} of ${FAULTS.join(', ')}`).toBeGreaterThan(4);
  });
});

function isExists(reason: unknown): boolean {
  return reason instanceof StorageError && reason.kind === 'exists';
}
