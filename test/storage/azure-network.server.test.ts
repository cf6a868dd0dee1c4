import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ArchiveSettings } from '../../src/settings/schema.ts';
import { openAzure } from '../../src/storage/azure/storage.ts';
import { Deadline } from '../../src/storage/deadline.ts';
import { StorageError } from '../../src/storage/errors.ts';
import { withLimits } from '../../src/storage/limits.ts';
import { withRetry } from '../../src/storage/retry.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { needStore } from '../harness/need.ts';
import { startNeverAccepting } from '../harness/net/never-accepts.ts';
import { startRelay, type Relay } from '../harness/net/relay.ts';
import { azurite, type Azurite } from '../harness/stores/azurite.ts';
import { azureArchive, PREFIX } from './azure-place.ts';
import { bodyOf, collect, noise, text } from './bodies.ts';
import { connectInExecutable } from './bridge/executable.ts';

const MIB = 1024 * 1024;

const onNode = async (archive: ArchiveSettings, env: Record<string, string>): Promise<Storage> =>
  withRetry(withLimits(await openAzure(archive, env)));

const RUNTIMES = [
  { where: 'on Node', open: onNode },
  { where: 'in the executable', open: connectInExecutable },
];

describe.skipIf(needStore('azurite')).each(RUNTIMES)('Azure behind a network, $where', ({ open }) => {
  let store: Azurite;
  let relay: Relay;
  let container: string;
  let storage: Storage;
  let deadline: Deadline;

  beforeEach(async () => {
    store = await azurite();
    relay = await startRelay({ target: store.endpoint });
    container = await store.makeContainer();
    storage = await openAt(relay.endpoint);
    deadline = new Deadline(20_000, { what: 'the test' });
  });
  afterEach(async () => {
    deadline.close();
    storage.close();
    await relay.close();
    await store.client.deleteContainer(container);
  });

  const openAt = (endpoint: string): Promise<Storage> =>
    open(azureArchive(container), { AZURE_STORAGE_CONNECTION_STRING: store.connectionStringAt(endpoint) });
  const asked = (): string[] => relay.requests.map(({ method }) => method);
  const put = (key: string, bytes: Uint8Array): Promise<void> => store.eye.put(container, `${PREFIX}/${key}`, bytes);

  it('is asked once to create, once to verify, once to get', async () => {
    const bytes = noise(3 * MIB, 1);
    const body = bodyOf(bytes);
    await storage.create('1/wal/a', body, deadline);
    const { digest } = await storage.head('1/wal/a', deadline);
    expect(digest).toEqual({ algorithm: 'md5', value: await body.digest('md5') });
    expect((await collect((await storage.get('1/wal/a', deadline)).bytes)).equals(bytes)).toBe(true);
    expect(asked()).toEqual(['PUT', 'HEAD', 'GET']);
    expect(relay.connections).toBe(1);
  });

  it('finds a byte that was damaged on the way there, and stores nothing of that', async () => {
    relay.misbehave({ do: 'damage', part: 'request', atBodyByte: 2 * MIB });
    const bytes = noise(3 * MIB, 2);
    await storage.create('1/wal/a', bodyOf(bytes), deadline);
    expect(relay.requests.map(({ status }) => status)).toEqual([400, 201]);
    expect((await store.eye.read(container, `${PREFIX}/1/wal/a`)).equals(bytes)).toBe(true);
  });

  it('says exists for an object of ours whose answer was lost', async () => {
    relay.misbehave({ do: 'lose-response' });
    await expect(storage.create('1/wal/a', text('1'), deadline)).rejects.toMatchObject({ kind: 'exists' });
    expect(asked()).toEqual(['PUT', 'PUT']);
  });

  it('goes on once it answers again', async () => {
    relay.misbehave({ do: 'reset' }, { times: 2 });
    await storage.create('1/wal/a', text('1'), deadline);
    expect(asked()).toEqual(['PUT', 'PUT', 'PUT']);
  });

  it.each(['end', 'reset'] as const)('never takes a download for whole that was cut by %s', async (by) => {
    await put('1/wal/a', noise(3 * MIB, 3));
    relay.misbehave({ do: 'break-response', part: 'body', afterBytes: 2 * MIB, by });
    // A runtime may lose what came before a reset: then nothing was handed over, and it is asked for again.
    const ending = await storage
      .get('1/wal/a', deadline)
      .then((object) => collect(object.bytes))
      .then(
        (got) => got.equals(noise(3 * MIB, 3)) && relay.requests.length === 2,
        (error: unknown) => error instanceof StorageError && error.kind === 'unreachable' && error.retryable,
      );
    expect(ending).toBe(true);
  });

  it.each(['end', 'reset'] as const)('never takes a listing for whole that was cut by %s', async (by) => {
    await put('1/a', Buffer.from('x'));
    relay.misbehave({ do: 'break-response', part: 'body', afterBytes: 27, by });
    const pages = [];
    for await (const page of storage.list('1/', {}, deadline)) pages.push(page);
    expect(pages.flat().map(({ key }) => key)).toEqual(['1/a']);
    expect(relay.requests).toHaveLength(2);
  });

  it('is left alone by a reader who stops, and by one who never starts', async () => {
    await put('1/wal/a', noise(8 * MIB, 3));
    const short = new Deadline(20_000);
    for await (const piece of (await storage.get('1/wal/a', short)).bytes) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    await storage.get('1/wal/a', short);
    short.expire(new StorageError('unreachable', 'the work is over'));
    expect((await storage.head('1/wal/a', deadline)).size).toBe(8 * MIB);
  });

  describe('holds no call past its deadline', () => {
    const LIMIT_MS = 300;
    /** What a busy machine may take longer. */
    const SLACK_MS = 2_000;

    /** Runs it with a deadline of a moment. */
    async function inTime(call: (short: Deadline) => Promise<unknown>): Promise<void> {
      const short = new Deadline(LIMIT_MS, { what: 'the test' });
      const start = performance.now();
      await expect(call(short)).rejects.toMatchObject({ kind: 'unreachable', retryable: false });
      expect(performance.now() - start).toBeLessThan(LIMIT_MS + SLACK_MS);
      short.close();
    }

    const CALLS: [string, (short: Deadline) => Promise<unknown>][] = [
      ['create', (short) => storage.create('1/wal/b', bodyOf(noise(8 * MIB, 1)), short)],
      ['get', async (short) => collect((await storage.get('1/wal/a', short)).bytes)],
      ['head', (short) => storage.head('1/wal/a', short)],
      ['list', (short) => storage.list('', {}, short)[Symbol.asyncIterator]().next()],
      ['delete', (short) => storage.delete(['1/wal/a'], short)],
    ];

    it('where nobody accepts a connection', async () => {
      const nowhere = await startNeverAccepting();
      storage.close();
      storage = await openAt(`${nowhere.endpoint}/${store.account}`);
      for (const [, call] of CALLS) await inTime(call);
      await nowhere.close();
    });

    it.each(CALLS)('%s, where no answer comes', async (_, call) => {
      relay.misbehave({ do: 'silence' }, { times: 100 });
      await inTime(call);
    });

    it.each(CALLS)('%s, where an answer stops in its head', async (_, call) => {
      await put('1/wal/a', Buffer.from('x'));
      relay.misbehave({ do: 'break-response', part: 'head', afterBytes: 10, by: 'hanging' }, { times: 100 });
      await inTime(call);
    });

    it.each(CALLS.filter(([verb]) => verb === 'get' || verb === 'list'))(
      '%s, where an answer stops in its body',
      async (_, call) => {
        await put('1/wal/a', noise(8 * MIB, 2));
        relay.misbehave({ do: 'break-response', part: 'body', afterBytes: 10, by: 'hanging' }, { times: 100 });
        await inTime(call);
      },
    );

    it('create, where the body is not read to its end', async () => {
      relay.misbehave({ do: 'stop-reading', afterBodyBytes: MIB }, { times: 100 });
      await inTime((short) => storage.create('1/wal/b', bodyOf(noise(32 * MIB, 1)), short));
    });
  });
});
