import { describe, expect, it } from 'vitest';
import { Deadline } from '../../src/storage/deadline.ts';
import { StorageError } from '../../src/storage/errors.ts';
import { retrying, withRetry, type RetryOptions } from '../../src/storage/retry.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { bodyOf, collect, noise, text } from './bodies.ts';
import { FaultyStorage, type Fault } from './faults.ts';
import { MemoryStorage } from './memory.ts';

const refused = (message = 'connection refused'): StorageError =>
  new StorageError('unreachable', message, { hint: 'Is it on?' });

/** No pause takes time; they are noted. */
function noted(options: RetryOptions = {}): RetryOptions & { readonly pauses: number[] } {
  const pauses: number[] = [];
  const wait = (ms: number): Promise<void> => {
    pauses.push(ms);
    return Promise.resolve();
  };
  return { random: () => 1, wait, pauses, ...options };
}

/** Fails as the list says, then succeeds. */
function failing(errors: unknown[]): () => Promise<string> {
  const left = [...errors];
  return async () => {
    await Promise.resolve();
    if (left.length > 0) throw left.shift();
    return 'done';
  };
}

describe('retrying', () => {
  const deadline = new Deadline(60_000, { what: 'the test' });

  it('repeats what fails for a passing reason, after pauses that double up to a limit', async () => {
    const options = noted({ baseMs: 100, capMs: 500 });
    await expect(retrying(failing(Array.from({ length: 5 }, () => refused())), deadline, options)).resolves.toBe(
      'done',
    );
    expect(options.pauses).toEqual([100, 200, 400, 500, 500]);
  });

  it('takes a random part of each pause', async () => {
    const options = noted({ baseMs: 100, random: () => 0.25 });
    await retrying(failing([refused(), refused()]), deadline, options);
    expect(options.pauses).toEqual([25, 50]);
  });

  it('waits as long as the store asks for', async () => {
    const options = noted({ baseMs: 100, capMs: 200 });
    const busy = new StorageError('throttled', 'slow down', { retryAfterMs: 7_000 });
    await retrying(failing([busy, refused()]), deadline, options);
    expect(options.pauses).toEqual([7_000, 200]);
  });

  it('gives up after the last attempt, says how many there were, and is not retried again', async () => {
    const options = noted({ attempts: 3 });
    const attempt = failing([refused(), refused(), refused('still refused'), refused()]);
    const error: unknown = await retrying(() => retrying(attempt, deadline, options), deadline, options).catch(
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({
      kind: 'unreachable',
      message: 'still refused (3 attempts)',
      hint: 'Is it on?',
      retryable: false,
      cause: { message: 'still refused' },
    });
    expect(options.pauses).toHaveLength(2);
  });

  it.each([
    new StorageError('absent', 'no such key'),
    new StorageError('exists', 'taken'),
    new StorageError('denied', 'no'),
    new StorageError('unreachable', 'not mounted', { retryable: false }),
    new TypeError('a bug'),
  ])('passes on what does not pass by itself: $message', async (error) => {
    const options = noted();
    await expect(retrying(failing([refused(), error]), deadline, options)).rejects.toBe(error);
    expect(options.pauses).toHaveLength(1);
  });

  it('does not begin a pause that the deadline cuts off', async () => {
    const options = noted();
    const busy = new StorageError('throttled', 'slow down', { retryAfterMs: 120_000 });
    await expect(retrying(failing([busy]), deadline, options)).rejects.toMatchObject({
      kind: 'throttled',
      message: 'slow down (1 attempt, and no time for another)',
    });
    expect(options.pauses).toEqual([]);
  });

  it('tells why it failed before the deadline passed', async () => {
    const short = new Deadline(60_000, { what: 'the push' });
    const attempt = failing([refused()]);
    const hang = (): Promise<string> => attempt().then(() => short.race(new Promise<never>(() => undefined)));
    let count = 0;
    const wait = (): Promise<void> => {
      count += 1;
      setImmediate(() => {
        short.shorten(0);
      });
      return Promise.resolve();
    };
    await expect(retrying(hang, short, { wait })).rejects.toMatchObject({
      kind: 'unreachable',
      message: 'the push was not done within 0 ms; 2 attempts, and one ended with: connection refused',
      hint: 'Is it on?',
      retryable: false,
    });
    expect(count).toBe(1);
  });

  it('ends a pause when a limit passes', async () => {
    const short = new Deadline(60_000, { idleMs: 20, what: 'the fetch' });
    const busy = new StorageError('throttled', 'slow down', { retryAfterMs: 50_000 });
    await expect(retrying(failing([busy]), short)).rejects.toMatchObject({
      message: expect.stringMatching(/^the fetch received nothing for 20 ms; .*slow down$/) as unknown,
    });
  });
});

describe('a storage with retries', () => {
  const deadline = new Deadline(60_000, { what: 'the test' });
  const setUp = (...faults: Fault[]): { memory: MemoryStorage; faulty: FaultyStorage; storage: Storage } => {
    const memory = new MemoryStorage(10);
    const faulty = new FaultyStorage(memory, faults);
    return { memory, faulty, storage: withRetry(faulty, noted()) };
  };
  const bytes = noise(35, 1);

  it('creates after refusals', async () => {
    const { memory, faulty, storage } = setUp('refused', 'throttled');
    await storage.create('a', text('1'), deadline);
    expect(faulty.calls).toEqual(['create a: refused', 'create a: throttled', 'create a: none']);
    expect(memory.objects.size).toBe(1);
  });

  it('says exists after its own success was lost: the caller looks', async () => {
    const { storage } = setUp('lost');
    await expect(storage.create('a', text('1'), deadline)).rejects.toMatchObject({ kind: 'exists' });
    expect((await collect((await storage.get('a', deadline)).bytes)).toString()).toBe('1');
  });

  it('opens again when reading fails before the first piece, and not after it', async () => {
    const { faulty, storage } = setUp('none', 'refused', 'none', 'none', 'cut');
    await storage.create('a', bodyOf(bytes), deadline);
    const object = await storage.get('a', deadline);
    expect((await collect(object.bytes)).equals(bytes)).toBe(true);
    const again = await storage.get('a', deadline);
    expect((await collect(again.bytes)).equals(bytes)).toBe(true);
    const cut = await storage.get('a', deadline);
    await expect(collect(cut.bytes)).rejects.toMatchObject({ kind: 'unreachable', retryable: true });
    expect(faulty.calls.slice(1)).toEqual(['get a: refused', 'get a: none', 'get a: none', 'get a: cut']);
  });

  it('opens again where the first piece never comes', async () => {
    const memory = new MemoryStorage(10);
    await memory.create('a', bodyOf(bytes), deadline);
    let opened = 0;
    const dry: Storage = {
      ...bound(memory),
      get: async (key) => {
        opened += 1;
        const object = await memory.get(key, deadline);
        return opened > 2 ? object : { info: object.info, bytes: failsAtOnce() };
      },
    };
    const object = await withRetry(dry, noted()).get('a', deadline);
    expect((await collect(object.bytes)).equals(bytes)).toBe(true);
    expect(opened).toBe(3);
  });

  it('lists again before the first page, and not after it', async () => {
    const { storage, memory } = setUp('refused', 'lost', 'cut');
    for (const key of ['a', 'b', 'c']) await memory.create(key, text('1'), deadline);
    const keys: string[] = [];
    const run = async (): Promise<void> => {
      for await (const page of storage.list('', { limit: 2 }, deadline)) keys.push(...page.map(({ key }) => key));
    };
    await expect(run()).rejects.toMatchObject({ kind: 'unreachable' });
    expect(keys).toEqual(['a', 'b']);
    await run();
    expect(keys).toEqual(['a', 'b', 'a', 'b', 'c']);
  });

  it('repeats head and delete', async () => {
    const { memory, storage } = setUp('none', 'refused', 'none', 'lost');
    await storage.create('a', text('1'), deadline);
    expect((await storage.head('a', deadline)).size).toBe(1);
    await storage.delete(['a'], deadline);
    expect(memory.objects.size).toBe(0);
  });
});

async function* failsAtOnce(): AsyncGenerator<Uint8Array, void, undefined> {
  yield await Promise.reject<Uint8Array>(refused());
}

function bound(storage: Storage): Storage {
  return {
    url: storage.url,
    create: (...given) => storage.create(...given),
    get: (...given) => storage.get(...given),
    head: (...given) => storage.head(...given),
    list: (...given) => storage.list(...given),
    delete: (...given) => storage.delete(...given),
    close: () => {
      storage.close();
    },
  };
}
