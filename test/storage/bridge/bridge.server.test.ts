import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { Deadline } from '../../../src/storage/deadline.ts';
import { StorageError } from '../../../src/storage/errors.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { announcing, bodyOf, collect, noise, text } from '../bodies.ts';
import { fileArchive, makeFilePlace } from '../file-place.ts';
import { connectInExecutable, Executable } from './executable.ts';
import { bridgedStorage } from './storage.ts';
import { errorFromWire, errorToWire, infoFromWire, infoToWire } from './values.ts';

describe('the bridge into the executable', () => {
  let place: Awaited<ReturnType<typeof makeFilePlace>>;
  let storage: Storage;
  const deadline = new Deadline(60_000, { what: 'the test' });

  beforeAll(async () => {
    place = await makeFilePlace(connectInExecutable);
    storage = place.storage;
  });
  afterAll(async () => {
    deadline.close();
    storage.close();
    await place.remove();
  });

  it('refuses what connect refuses, with the error that it throws', async () => {
    const archive = { ...fileArchive(place.path), url: 'file:///a%2Fb' };
    const error: unknown = await connectInExecutable(archive).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(StorageError);
    expect(error).toMatchObject({ kind: 'configuration' });
  });

  it('asks the body for no more than is taken', async () => {
    let given = 0;
    const short = new Deadline(60_000, { what: 'the push' });
    const body = announcing(64 * 1024 * 1024, async function* () {
      for (; given < 64; given += 1) {
        if (given === 8) short.shorten(0);
        yield await Promise.resolve(noise(1024 * 1024, 1));
      }
    });
    await expect(storage.create('1/wal/a', body, short)).rejects.toMatchObject({
      kind: 'unreachable',
      message: expect.stringContaining('the push was not done within') as unknown,
    });
    expect(given).toBeLessThan(12);
  });

  it('counts what arrives there as progress here', async () => {
    let progress = 0;
    const child = deadline.child(() => (progress += 1));
    await storage.create('1/wal/b', bodyOf(noise(1_000_000, 1), 100_000), child);
    await collect((await storage.get('1/wal/b', child)).bytes);
    expect(progress).toBeGreaterThan(10);
  });

  it('tells what became of an executable that ended', async () => {
    const own = await Executable.start({});
    const there = await bridgedStorage(own, fileArchive(place.path));
    await there.create('1/wal/c', text('1'), deadline);
    const body = announcing(20, async function* () {
      yield await Promise.resolve(Buffer.alloc(10));
      own.stop();
      yield Buffer.alloc(10);
    });
    await expect(there.create('1/wal/d', body, deadline)).rejects.toThrow('the executable ended with SIGKILL');
    await expect(there.head('1/wal/c', deadline)).rejects.toThrow('the executable ended with SIGKILL');
    expect(own.stderr()).toBe('');
  });

  it('has what it was given as its environment, and nothing else', async () => {
    const own = await Executable.start({ WALSEAL_TEST: 'there' });
    const { reply } = await own.peer.ask('environment', null);
    expect(reply).toEqual({ WALSEAL_TEST: 'there' });
    own.stop();
  });
});

describe('on the wire', () => {
  it('an error keeps all that it says', () => {
    const cause = new TypeError('a cause');
    const error = new StorageError('throttled', 'slow down', {
      cause,
      hint: 'wait',
      retryable: false,
      retryAfterMs: 7,
    });
    const copy = errorFromWire(JSON.parse(JSON.stringify(errorToWire(error))) as ReturnType<typeof errorToWire>);
    expect(copy).toBeInstanceOf(StorageError);
    expect(copy).toMatchObject({
      kind: 'throttled',
      message: 'slow down',
      hint: 'wait',
      retryable: false,
      retryAfterMs: 7,
      cause: { name: 'TypeError', message: 'a cause' },
    });
  });

  it('what a store says of an object keeps its time and its digest', () => {
    const modified = new Date(1_760_000_000_123);
    const info = { size: 5, modified, digest: { algorithm: 'crc32c', value: Buffer.of(1, 2, 3, 255) } } as const;
    expect(infoFromWire(infoToWire(info))).toEqual(info);
    expect(infoFromWire(infoToWire({ size: 5, modified }))).toEqual({ size: 5, modified });
  });
});
