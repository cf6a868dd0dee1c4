import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ArchiveSettings } from '../../src/settings/schema.ts';
import { Deadline } from '../../src/storage/deadline.ts';
import { StorageError } from '../../src/storage/errors.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { proxyPage, slowDown, type Fault } from '../harness/net/faults.ts';
import { startNeverAccepting } from '../harness/net/never-accepts.ts';
import { startRelay, type Relay } from '../harness/net/relay.ts';
import { needStore } from '../harness/need.ts';
import { minio } from '../harness/stores/minio.ts';
import { bodyOf, collect, noise, text } from './bodies.ts';
import { Executable } from './bridge/executable.ts';
import { bridgedStorage } from './bridge/storage.ts';
import { RUNTIMES, s3Archive } from './s3-place.ts';

const MIB = 1024 * 1024;
/** What a call may take beyond its deadline: the moment that a create has to clean up, and a busy machine. */
const SLACK_MS = 2_000;

describe.skipIf(needStore('minio'))('the requests to S3', () => {
  describe.each(RUNTIMES)('%s', (_, connect) => {
    let relay: Relay;
    let archive: ArchiveSettings;
    let deadline: Deadline;
    const open: Storage[] = [];

    beforeAll(async () => {
      const server = await minio();
      relay = await startRelay({ target: server.endpoint });
      archive = s3Archive({ endpoint: relay.endpoint, region: server.region }, await server.makeBucket());
    });
    afterAll(() => relay.close());
    beforeEach(() => {
      deadline = new Deadline(30_000, { what: 'the test' });
    });
    afterEach(() => {
      deadline.close();
      relay.behave();
      relay.requests.length = 0;
      for (const storage of open.splice(0)) storage.close();
    });

    const connected = async (
      settings: Partial<ArchiveSettings> = { conditionalCreate: 'proven' },
    ): Promise<Storage> => {
      const storage = await connect({ ...archive, ...settings });
      open.push(storage);
      return storage;
    };
    const asked = (): string[] => relay.requests.map(({ method, status }) => `${method} ${String(status)}`);
    const read = async (storage: Storage, key: string): Promise<Buffer> =>
      collect((await storage.get(key, deadline)).bytes);
    const listAll = async (storage: Storage): Promise<string[]> => {
      const keys: string[] = [];
      for await (const page of storage.list('', {}, deadline)) keys.push(...page.map(({ key }) => key));
      return keys;
    };

    it('are two for a push: a conditional PUT that the store checks, and a look at its checksum', async () => {
      const storage = await connected();
      const body = bodyOf(noise(3 * MIB, 1));
      await storage.create('counted', body, deadline);
      const info = await storage.head('counted', deadline);
      expect(info).toMatchObject({ size: 3 * MIB, digest: { algorithm: 'sha256' } });
      expect(Buffer.from(info.digest?.value ?? []).equals(Buffer.from(await body.digest('sha256')))).toBe(true);
      expect(asked()).toEqual(['PUT 200', 'HEAD 200']);
      const sha256 = Buffer.from(await body.digest('sha256'));
      expect(relay.requests[0]?.headers).toMatchObject({
        'if-none-match': '*',
        'content-length': String(3 * MIB),
        'x-amz-content-sha256': sha256.toString('hex'),
        'x-amz-checksum-sha256': sha256.toString('base64'),
        'x-amz-sdk-checksum-algorithm': 'SHA256',
      });
      // It would cost a round trip to ask whether so much is wanted.
      expect(relay.requests[0]?.headers).not.toHaveProperty('expect');
      expect(relay.requests[0]?.headers).not.toHaveProperty('transfer-encoding');
      expect(relay.requests[0]?.headers).not.toHaveProperty('content-encoding');
      expect(relay.requests[0]?.bodyBytes).toBe(3 * MIB);
      expect(relay.requests[0]?.headers['authorization']).toContain('x-amz-content-sha256');
      expect(relay.connections).toBeLessThanOrEqual(1);
    });

    it('are one for a get, and one for a listing', async () => {
      const storage = await connected();
      await storage.create('1', text('once'), deadline);
      relay.requests.length = 0;
      expect((await read(storage, '1')).toString()).toBe('once');
      expect(asked()).toEqual(['GET 200']);
      expect(relay.requests[0]?.headers).not.toHaveProperty('x-amz-checksum-mode');
      expect(await listAll(storage)).toContain('1');
      expect(asked()).toEqual(['GET 200', 'GET 200']);
    });

    it('ask for what comes after a key, not for what comes before', async () => {
      const storage = await connected();
      for (const index of [10, 11, 12, 13]) await storage.create(`listed/${String(index)}`, text('x'), deadline);
      relay.requests.length = 0;
      const pages: string[][] = [];
      for await (const page of storage.list('listed/', { after: 'listed/11', limit: 1 }, deadline)) {
        pages.push(page.map(({ key }) => key));
      }
      expect(pages).toEqual([['listed/12'], ['listed/13']]);
      expect(asked()).toEqual(['GET 200', 'GET 200']);
      expect(relay.requests[0]?.path).toMatch(/[?&]start-after=[^&]*listed%2F11(&|$)/);
    });

    it('begin with a look where the store is not known to refuse a key that is taken', async () => {
      const storage = await connected({});
      await storage.create('2', text('once'), deadline);
      await expect(storage.create('2', text('twice'), deadline)).rejects.toMatchObject({ kind: 'exists' });
      expect(asked()).toEqual(['HEAD 404', 'PUT 200', 'HEAD 200']);
      expect(relay.requests[1]?.headers).toMatchObject({ 'if-none-match': '*' });
    });

    it('send no body that is not wanted', async () => {
      const storage = await connected();
      const body = bodyOf(noise(8 * MIB, 2));
      await storage.create('3', body, deadline);
      await expect(storage.create('3', body, deadline)).rejects.toMatchObject({ kind: 'exists' });
      expect(asked()).toEqual(['PUT 200', 'PUT 412']);
      expect(relay.requests.map(({ bodyBytes }) => bodyBytes)).toEqual([8 * MIB, 0]);
    });

    it('are made again after what passes, and each time whole', async () => {
      const storage = await connected();
      relay.misbehave({ do: 'answer', answer: slowDown() });
      relay.misbehave({ do: 'reset' });
      relay.misbehave({ do: 'damage', part: 'request', atBodyByte: 1_000_000 });
      relay.misbehave({ do: 'answer', answer: proxyPage(502) });
      const bytes = noise(2 * MIB, 3);
      await storage.create('4', bodyOf(bytes), deadline);
      expect((await read(storage, '4')).equals(bytes)).toBe(true);
      expect(relay.requests.map(({ method, fault }) => [method, fault])).toEqual([
        ['PUT', 'answer'],
        ['PUT', 'reset'],
        ['PUT', 'damage'],
        ['PUT', 'answer'],
        ['PUT', undefined],
        ['GET', undefined],
      ]);
      expect(relay.requests[2]?.status).toBe(400);
    });

    it('end with exists where only the answer was lost', async () => {
      const storage = await connected();
      relay.misbehave({ do: 'lose-response' });
      await expect(storage.create('5', text('stored'), deadline)).rejects.toMatchObject({ kind: 'exists' });
      expect((await read(storage, '5')).toString()).toBe('stored');
    });

    it.each(['end', 'reset'] as const)('never end a body early: %s', async (by) => {
      const storage = await connected();
      const key = `6-${by}`;
      await storage.create(key, bodyOf(noise(3 * MIB, 4)), deadline);
      relay.misbehave({ do: 'break-response', part: 'body', afterBytes: MIB, by });
      // A reset may overtake the first piece: then it was opened again.
      const outcome = await read(storage, key).then(
        (bytes) => bytes.length,
        (error: unknown) => (error instanceof StorageError && error.retryable ? error.kind : error),
      );
      expect(['unreachable', ...(by === 'reset' ? [3 * MIB] : [])]).toContain(outcome);
      relay.misbehave({ do: 'break-response', part: 'head', afterBytes: 20, by });
      expect(await read(storage, key)).toHaveLength(3 * MIB);
    });

    describe('never hold a call beyond its deadline', () => {
      const LIMIT_MS = 400;
      let creates = 0;
      const large = bodyOf(noise(16 * MIB, 6));
      const hanging: readonly (readonly [string, Fault])[] = [
        ['no answer comes', { do: 'silence' }],
        ['the head of the answer hangs', { do: 'break-response', part: 'head', afterBytes: 20, by: 'hanging' }],
        ['the body of the answer hangs', { do: 'break-response', part: 'body', afterBytes: 50, by: 'hanging' }],
        ['the body of the request is not read', { do: 'stop-reading', afterBodyBytes: 100_000 }],
      ];
      const verbs: Readonly<Record<string, (storage: Storage, limit: Deadline) => Promise<unknown>>> = {
        create: (storage, limit) => storage.create(`held-${String((creates += 1))}`, large, limit),
        get: async (storage, limit) => collect((await storage.get('big', limit)).bytes),
        head: (storage, limit) => storage.head('big', limit),
        list: async (storage, limit) => {
          for await (const page of storage.list('', {}, limit)) expect(page.length).toBeGreaterThan(0);
        },
        delete: (storage, limit) => storage.delete(['nothing'], limit),
      };
      /** The bodies of these answers are empty. */
      const isHarmless = (verb: string, fault: Fault): boolean =>
        (fault.do === 'break-response' && fault.part === 'body' && ['head', 'create'].includes(verb)) ||
        (fault.do === 'stop-reading' && verb !== 'create');

      beforeAll(async () => {
        const storage = await connect({ ...archive, conditionalCreate: 'proven' });
        const long = new Deadline(30_000);
        await storage.create('big', bodyOf(noise(3 * MIB, 5)), long);
        long.close();
        storage.close();
        relay.requests.length = 0;
      });

      const expectInTime = async (verb: string, storage: Storage): Promise<void> => {
        const limit = new Deadline(LIMIT_MS, { what: 'the call' });
        const begun = performance.now();
        await expect(verbs[verb]?.(storage, limit)).rejects.toMatchObject({
          kind: 'unreachable',
          retryable: false,
          message: expect.stringContaining('the call') as unknown,
        });
        expect(performance.now() - begun).toBeLessThan(LIMIT_MS + SLACK_MS);
      };

      for (const [what, fault] of hanging) {
        const concerned = Object.keys(verbs).filter((verb) => !isHarmless(verb, fault));
        it.each(concerned)(`where ${what}: %s`, async (verb) => {
          const storage = await connected();
          relay.misbehave(fault, { times: 9 });
          await expectInTime(verb, storage);
          expect(relay.requests).toHaveLength(1);
        });
      }

      it('where no connection comes about', async () => {
        const nowhere = await startNeverAccepting();
        const storage = await connected({ conditionalCreate: 'proven', endpoint: nowhere.endpoint });
        for (const verb of Object.keys(verbs)) await expectInTime(verb, storage);
        await nowhere.close();
      });
    });
  });

  it("say nothing in the server's log", async () => {
    const server = await minio();
    const keys = { AWS_ACCESS_KEY_ID: server.root.accessKeyId, AWS_SECRET_ACCESS_KEY: server.root.secretAccessKey };
    await using relay = await startRelay({ target: server.endpoint });
    const executable = await Executable.start(keys);
    const archive = s3Archive({ endpoint: relay.endpoint, region: server.region }, await server.makeBucket());
    const storage = await bridgedStorage(executable, archive);
    const deadline = new Deadline(30_000, { what: 'the test' });
    relay.misbehave({ do: 'reset' });
    relay.misbehave({ do: 'answer', answer: proxyPage(500) }, { when: ({ method }) => method === 'PUT' });
    await storage.create('a', bodyOf(noise(2 * MIB, 1)), deadline);
    await expect(storage.create('a', bodyOf(noise(2 * MIB, 1)), deadline)).rejects.toMatchObject({ kind: 'exists' });
    await expect(storage.get('missing', deadline)).rejects.toMatchObject({ kind: 'absent' });
    expect(executable.stderr()).toBe('');
    deadline.close();
    storage.close();
    executable.stop();
  });
});
