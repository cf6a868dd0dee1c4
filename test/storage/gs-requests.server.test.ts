import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connect } from '../../src/storage/connect.ts';
import { Deadline } from '../../src/storage/deadline.ts';
import { StorageError } from '../../src/storage/errors.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { needStore } from '../harness/need.ts';
import { startCanned } from '../harness/net/canned.ts';
import { startNeverAccepting } from '../harness/net/never-accepts.ts';
import { startRelay, type Relay } from '../harness/net/relay.ts';
import { fakeGcs, type FakeGcs } from '../harness/stores/fake-gcs.ts';
import { bodyOf, collect, noise, text } from './bodies.ts';
import { connectInExecutable } from './bridge/executable.ts';
import { json, resource } from './gs-answers.ts';
import { gsArchive } from './gs-place.ts';

const MIB = 1024 * 1024;

const RUNTIMES = [
  { where: 'on Node', open: connect },
  { where: 'in the executable', open: connectInExecutable },
];

describe.skipIf(needStore('fake-gcs-server')).each(RUNTIMES)(
  'Google Cloud Storage behind a network, $where',
  ({ open }) => {
    let store: FakeGcs;
    let relay: Relay;
    let bucket: string;
    let storage: Storage;
    let deadline: Deadline;

    beforeEach(async () => {
      store = await fakeGcs();
      relay = await startRelay({ target: store.endpoint });
      bucket = await store.makeBucket();
      storage = await open(gsArchive(relay.endpoint, bucket));
      deadline = new Deadline(20_000);
    });
    afterEach(async () => {
      deadline.close();
      storage.close();
      await relay.close();
    });

    const asked = (): string[] => relay.requests.map(({ method, path }) => `${method} ${path.split('?', 1)[0] ?? ''}`);
    const objects = (): string => `/storage/v1/b/${bucket}/o`;

    it('is asked once to create, once to verify, once to get', async () => {
      const bytes = noise(3 * MIB, 1);
      const body = bodyOf(bytes);
      await storage.create('1/wal/a', body, deadline);
      const { digest } = await storage.head('1/wal/a', deadline);
      expect(asked()).toEqual([`POST /upload${objects()}`, `GET ${objects()}/1%2Fwal%2Fa`]);
      expect(digest).toEqual({ algorithm: 'md5', value: await body.digest('md5') });
      expect((await collect((await storage.get('1/wal/a', deadline)).bytes)).equals(bytes)).toBe(true);
      expect(asked().slice(2)).toEqual([`GET /download${objects()}/1%2Fwal%2Fa`]);
      expect(relay.connections).toBe(1);
      for (const { headers } of relay.requests) {
        expect(headers['authorization']).toBeUndefined();
        expect(headers['user-agent']).toBe('walseal');
      }
    });

    it('is asked twice where there is nothing, and once where something is', async () => {
      await storage.create('1/wal/a', text('1'), deadline);
      await expect(storage.create('1/wal/a', text('2'), deadline)).rejects.toMatchObject({ kind: 'exists' });
      expect(asked()).toHaveLength(2);
      await expect(storage.get('1/wal/b', deadline)).rejects.toMatchObject({ kind: 'absent' });
      expect(asked().slice(2)).toEqual([`GET /download${objects()}/1%2Fwal%2Fb`, `GET ${objects()}`]);
    });

    it('is asked for what comes after a key, and for no more than that', async () => {
      for (const key of ['1/a', '1/b', '1/c', '1/d']) await store.eye.put(bucket, key, Buffer.from('x'));
      const pages = [];
      for await (const page of storage.list('1/', { after: '1/b', limit: 2 }, deadline)) pages.push(page);
      expect(pages.flat().map(({ key }) => key)).toEqual(['1/c', '1/d']);
      expect(relay.requests).toHaveLength(1);
      const query = new URL(relay.requests[0]?.path ?? '', relay.endpoint).searchParams;
      expect([query.get('startOffset'), query.get('maxResults')]).toEqual(['1/b', '3']);
    });

    it('is asked to delete with a few requests at a time', async () => {
      const keys = Array.from({ length: 60 }, (_, index) => `1/${String(index)}`);
      for (const key of keys) await store.eye.put(bucket, key, Buffer.from('x'));
      await storage.delete(keys, deadline);
      expect(await store.eye.keys(bucket)).toEqual([]);
      expect(relay.requests).toHaveLength(60);
      expect(relay.connections).toBeLessThanOrEqual(16);
    });

    it('finds a byte that was damaged on the way there, and stores nothing of that', async () => {
      relay.misbehave({ do: 'damage', part: 'request', atBodyByte: 2 * MIB });
      const bytes = noise(3 * MIB, 2);
      await storage.create('1/wal/a', bodyOf(bytes), deadline);
      expect(relay.requests.map(({ status }) => status)).toEqual([400, 200]);
      expect((await store.eye.read(bucket, '1/wal/a')).equals(bytes)).toBe(true);
    });

    it('says exists for an object of ours whose answer was lost', async () => {
      relay.misbehave({ do: 'lose-response' });
      await expect(storage.create('1/wal/a', text('1'), deadline)).rejects.toMatchObject({ kind: 'exists' });
      expect((await store.eye.read(bucket, '1/wal/a')).toString()).toBe('1');
    });

    it.each(['end', 'reset'] as const)('never takes a download for whole that was cut by %s', async (by) => {
      const bytes = noise(3 * MIB, 3);
      await storage.create('1/wal/a', bodyOf(bytes), deadline);
      relay.misbehave({ do: 'break-response', part: 'body', afterBytes: 2 * MIB, by });
      // A runtime may lose what came before a reset: then nothing was handed over, and it is asked for again.
      const ending = await storage
        .get('1/wal/a', deadline)
        .then((object) => collect(object.bytes))
        .then(
          (got) => got.equals(bytes) && relay.requests.length === 3,
          (error: unknown) => error instanceof StorageError && error.kind === 'unreachable' && error.retryable,
        );
      expect(ending).toBe(true);
    });

    it.each(['end', 'reset'] as const)('never takes a listing for whole that was cut by %s', async (by) => {
      await store.eye.put(bucket, '1/a', Buffer.from('x'));
      relay.misbehave({ do: 'break-response', part: 'body', afterBytes: 27, by });
      const pages = [];
      for await (const page of storage.list('1/', {}, deadline)) pages.push(page);
      expect(pages.flat().map(({ key }) => key)).toEqual(['1/a']);
      expect(relay.requests).toHaveLength(2);
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

      const first = (short: Deadline): Promise<unknown> => storage.list('', {}, short)[Symbol.asyncIterator]().next();
      const CALLS: [string, (short: Deadline) => Promise<unknown>][] = [
        ['create', (short) => storage.create('1/wal/b', bodyOf(noise(8 * MIB, 1)), short)],
        ['get', async (short) => collect((await storage.get('1/wal/a', short)).bytes)],
        ['head', (short) => storage.head('1/wal/a', short)],
        ['list', first],
        ['delete', (short) => storage.delete(['1/wal/a'], short)],
      ];

      it.each(CALLS)('%s, where nobody accepts a connection', async (_, call) => {
        const nowhere = await startNeverAccepting();
        storage.close();
        storage = await open(gsArchive(nowhere.endpoint, bucket));
        await inTime(call);
        await nowhere.close();
      });

      it.each(CALLS)('%s, where no answer comes', async (_, call) => {
        relay.misbehave({ do: 'silence' }, { times: 100 });
        await inTime(call);
      });

      it.each(CALLS)('%s, where an answer stops in its head', async (_, call) => {
        await store.eye.put(bucket, '1/wal/a', Buffer.from('x'));
        relay.misbehave({ do: 'break-response', part: 'head', afterBytes: 10, by: 'hanging' }, { times: 100 });
        await inTime(call);
      });

      it.each(CALLS.slice(0, 4))('%s, where an answer stops in its body', async (_, call) => {
        await store.eye.put(bucket, '1/wal/a', noise(8 * MIB, 2));
        relay.misbehave({ do: 'break-response', part: 'body', afterBytes: 10, by: 'hanging' }, { times: 100 });
        await inTime(call);
      });

      it('create, where the body is not read to its end', async () => {
        relay.misbehave({ do: 'stop-reading', afterBodyBytes: MIB }, { times: 100 });
        await inTime((short) => storage.create('1/wal/b', bodyOf(noise(32 * MIB, 1)), short));
      });
    });

    it('hands on the class and the key of new objects', async () => {
      await using canned = await startCanned([json(resource({ name: 'p/1/wal/a' }))]);
      const kmsKey = 'projects/p/locations/l/keyRings/r/cryptoKeys/k';
      const direct = await open(
        gsArchive(canned.endpoint, bucket, { url: `gs://${bucket}/p`, storageClass: 'NEARLINE', kmsKey }),
      );
      await direct.create('1/wal/a', text('12345'), deadline);
      direct.close();
      const [request] = canned.requests;
      const query = new URL(request?.path ?? '', canned.endpoint).searchParams;
      expect(query.get('uploadType')).toBe('multipart');
      expect(query.get('ifGenerationMatch')).toBe('0');
      expect(query.get('kmsKeyName')).toBe(kmsKey);
      const [, metadata] = /\r\n\r\n(\{.*\})\r\n/.exec(request?.body.toString() ?? '') ?? [];
      expect(JSON.parse(metadata ?? '')).toEqual({
        name: 'p/1/wal/a',
        md5Hash: 'gnzLDuqKcGxMNKFokfhOew==',
        storageClass: 'NEARLINE',
      });
    });
  },
);
