import { spawnSync } from 'node:child_process';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Deadline, seconds } from '../../src/storage/deadline.ts';
import { StorageError } from '../../src/storage/errors.ts';

const NEVER = new Promise<never>(() => undefined);

describe('a deadline', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  const outcome = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error);

  it('aborts when the total limit passes, and says which and how long it was', async () => {
    const deadline = new Deadline(60_000, { what: 'push of 000000010000000000000001' });
    const hung = outcome(deadline.race(NEVER));
    await vi.advanceTimersByTimeAsync(59_999);
    expect(deadline.signal.aborted).toBe(false);
    expect(deadline.remainingMs()).toBeCloseTo(1);
    await vi.advanceTimersByTimeAsync(1);
    const error = await hung;
    expect(error).toBeInstanceOf(StorageError);
    expect(error).toMatchObject({
      kind: 'unreachable',
      retryable: false,
      message: 'push of 000000010000000000000001 was not done within 60 s',
      hint: expect.stringContaining('a longer deadline') as unknown,
    });
    expect(deadline.signal.reason).toBe(error);
    expect(deadline.remainingMs()).toBe(0);
    await expect(deadline.race(Promise.resolve(1))).rejects.toBe(error);
  });

  it('aborts when nothing arrives for the idle limit, which progress starts anew', async () => {
    const deadline = new Deadline(60_000, { idleMs: 5_000, what: 'fetch of 00000002.history' });
    const hung = outcome(deadline.race(NEVER));
    for (let count = 0; count < 5; count += 1) {
      await vi.advanceTimersByTimeAsync(4_000);
      deadline.progress();
    }
    await vi.advanceTimersByTimeAsync(4_999);
    expect(deadline.signal.aborted).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    await expect(hung).resolves.toMatchObject({ message: 'fetch of 00000002.history received nothing for 5 s' });
  });

  it('ends by the total limit however much arrives', async () => {
    const deadline = new Deadline(10_000, { idleMs: 5_000 });
    for (let count = 0; count < 10; count += 1) {
      await vi.advanceTimersByTimeAsync(1_000);
      deadline.progress();
    }
    expect(deadline.signal.reason).toMatchObject({ message: 'the work was not done within 10 s' });
  });

  it('can be shortened, never lengthened', async () => {
    const deadline = new Deadline(60_000);
    deadline.shorten(90_000);
    expect(deadline.remainingMs()).toBeCloseTo(60_000);
    await vi.advanceTimersByTimeAsync(20_000);
    deadline.shorten(5_000);
    deadline.shorten(50_000);
    expect(deadline.remainingMs()).toBeCloseTo(5_000);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(deadline.signal.reason).toMatchObject({ message: 'the work was not done within 5 s' });
  });

  it('waits, unless a limit passes first', async () => {
    const deadline = new Deadline(1_000);
    const short = deadline.wait(400);
    await vi.advanceTimersByTimeAsync(400);
    await short;
    const long = outcome(deadline.wait(10_000));
    await vi.advanceTimersByTimeAsync(600);
    await expect(long).resolves.toBeInstanceOf(StorageError);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('leaves no timer behind when it is closed', async () => {
    const deadline = new Deadline(1_000, { idleMs: 500 });
    deadline.close();
    expect(vi.getTimerCount()).toBe(0);
    deadline.shorten(1);
    await vi.advanceTimersByTimeAsync(5_000);
    expect(deadline.signal.aborted).toBe(false);
  });

  it('can be longer than a timer can wait', async () => {
    const deadline = new Deadline(2 ** 32);
    await vi.advanceTimersByTimeAsync(2 ** 31);
    expect(deadline.signal.aborted).toBe(false);
    await vi.advanceTimersByTimeAsync(2 ** 31);
    expect(deadline.signal.aborted).toBe(true);
  });

  it('keeps the process alive only while something waits through it', { timeout: 60_000 }, () => {
    const module = new URL('../../src/storage/deadline.ts', import.meta.url).href;
    const script = `
      import { Deadline } from ${JSON.stringify(module)};
      new Deadline(3_600_000, { idleMs: 3_000_000 });
      new Deadline(50, { what: 'the wait' }).race(new Promise(() => {})).catch((error) => console.log(error.message));
    `;
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
      encoding: 'utf8',
      timeout: 50_000,
    });
    expect(run.stdout).toBe('the wait was not done within 50 ms\n');
    expect(run.status).toBe(0);
  });

  describe("'s child", () => {
    it('ends with it, and counts its progress', async () => {
      const parent = new Deadline(60_000, { idleMs: 5_000 });
      let told = 0;
      const child = parent.child(() => {
        told += 1;
      });
      const hung = outcome(child.race(NEVER));
      await vi.advanceTimersByTimeAsync(4_000);
      child.progress();
      await vi.advanceTimersByTimeAsync(4_999);
      expect(child.signal.aborted).toBe(false);
      parent.shorten(0);
      await expect(hung).resolves.toBe(parent.signal.reason);
      expect(child.signal.reason).toBe(parent.signal.reason);
      expect(child.remainingMs()).toBe(0);
      expect(told).toBe(1);
    });

    it('ends alone', async () => {
      const parent = new Deadline(60_000);
      const child = parent.child(() => undefined);
      const hung = outcome(child.race(NEVER));
      const reason = new StorageError('unreachable', 'this attempt hangs');
      child.expire(reason);
      await expect(hung).resolves.toBe(reason);
      expect(parent.signal.aborted).toBe(false);
      expect(child.remainingMs()).toBe(0);
      expect(parent.remainingMs()).toBeCloseTo(60_000);
    });
  });
});

it('shows times as people read them', () => {
  expect([0, 40, 999, 5_000, 12_345, 60_049].map(seconds)).toEqual([
    '0 ms',
    '40 ms',
    '999 ms',
    '5 s',
    '12.3 s',
    '60 s',
  ]);
});
