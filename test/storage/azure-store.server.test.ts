import { ContainerSASPermissions, generateBlobSASQueryParameters, type ContainerClient } from '@azure/storage-blob';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Deadline } from '../../src/storage/deadline.ts';
import type { ListedObject, ListOptions, Storage } from '../../src/storage/storage.ts';
import { needStore } from '../harness/need.ts';
import { startRelay, type Relay } from '../harness/net/relay.ts';
import { azurite, type Azurite } from '../harness/stores/azurite.ts';
import { openAlone, PREFIX } from './azure-place.ts';
import { bodyOf, collect, noise, text } from './bodies.ts';

const MIB = 1024 * 1024;

describe.skipIf(needStore('azurite'))('a container of Azurite', () => {
  let server: Azurite;
  let relay: Relay;
  let container: string;
  let client: ContainerClient;
  let storage: Storage;
  let deadline: Deadline;

  beforeAll(async () => {
    server = await azurite();
    relay = await startRelay({ target: server.endpoint });
  });
  afterAll(() => relay.close());
  beforeEach(async () => {
    container = await server.makeContainer();
    client = server.client.getContainerClient(container);
    storage = await openAlone(container, {
      AZURE_STORAGE_CONNECTION_STRING: server.connectionStringAt(relay.endpoint),
    });
    deadline = new Deadline(60_000, { what: 'the test' });
    relay.behave();
    relay.requests.length = 0;
  });
  afterEach(async () => {
    deadline.close();
    storage.close();
    await client.deleteIfExists();
  });

  const create = (key: string, content = 'hello'): Promise<void> => storage.create(key, text(content), deadline);
  const read = async (from: Storage, key: string): Promise<string> =>
    (await collect((await from.get(key, deadline)).bytes)).toString();
  const keys = async (from: Storage, prefix: string, options: ListOptions = {}): Promise<string[]> => {
    const objects: ListedObject[] = [];
    for await (const page of from.list(prefix, options, deadline)) objects.push(...page);
    return objects.map(({ key }) => key);
  };
  const asked = (): string[] => relay.requests.map(({ method }) => method);
  const blobOf = (key: string): ReturnType<ContainerClient['getBlockBlobClient']> =>
    client.getBlockBlobClient(`${PREFIX}/${key}`);

  describe('is asked no more than it must be:', () => {
    it('once to create, once to verify, once to get', async () => {
      await storage.create('1/wal/a', bodyOf(noise(3 * MIB, 1)), deadline);
      expect(asked()).toEqual(['PUT']);
      const head = await storage.head('1/wal/a', deadline);
      expect(head.digest).toEqual({ algorithm: 'md5', value: await bodyOf(noise(3 * MIB, 1)).digest('md5') });
      expect(asked()).toEqual(['PUT', 'HEAD']);
      await read(storage, '1/wal/a');
      expect(asked()).toEqual(['PUT', 'HEAD', 'GET']);
      expect(relay.connections).toBe(1);
    });

    it('once for what is taken, absent or gone', async () => {
      await create('1/wal/a');
      await expect(create('1/wal/a')).rejects.toMatchObject({ kind: 'exists' });
      await expect(storage.get('1/wal/b', deadline)).rejects.toMatchObject({ kind: 'absent' });
      await expect(storage.head('1/wal/b', deadline)).rejects.toMatchObject({ kind: 'absent' });
      await storage.delete(['1/wal/a', '1/wal/b'], deadline);
      expect(asked().sort()).toEqual(['DELETE', 'DELETE', 'GET', 'HEAD', 'PUT', 'PUT']);
    });

    it.each([500, 503, 408, 429, 401])('once, where it answers %i', async (status) => {
      relay.misbehave(
        { do: 'answer', answer: { status, headers: { 'www-authenticate': 'Bearer x=y' } } },
        { times: 9 },
      );
      await expect(create('1/wal/a')).rejects.toMatchObject({ name: 'StorageError' });
      await expect(storage.get('1/wal/a', deadline)).rejects.toMatchObject({ name: 'StorageError' });
      await expect(storage.head('1/wal/a', deadline)).rejects.toMatchObject({ name: 'StorageError' });
      await expect(keys(storage, '')).rejects.toMatchObject({ name: 'StorageError' });
      await expect(storage.delete(['1/wal/a'], deadline)).rejects.toMatchObject({ name: 'StorageError' });
      expect(asked()).toEqual(['PUT', 'GET', 'HEAD', 'GET', 'DELETE']);
    });

    it('once, where the answer is lost, and does not repeat a body that broke off', async () => {
      relay.misbehave({ do: 'lose-response' });
      await expect(create('1/wal/a')).rejects.toMatchObject({ kind: 'unreachable', retryable: true });
      expect(asked()).toEqual(['PUT']);
      await expect(create('1/wal/a')).rejects.toMatchObject({ kind: 'exists' });
      relay.misbehave({ do: 'break-response', part: 'body', afterBytes: 2, by: 'end' });
      await expect(read(storage, '1/wal/a')).rejects.toMatchObject({ kind: 'unreachable', retryable: true });
      expect(asked()).toEqual(['PUT', 'PUT', 'GET']);
      expect(await read(storage, '1/wal/a')).toBe('hello');
    });

    it('for one page near the end of a timeline', async () => {
      const all = Array.from({ length: 40 }, (_, index) => `1/wal/0000000100000000/${String(index).padStart(4, '0')}`);
      await Promise.all(all.map((key) => create(key, 'x')));
      relay.requests.length = 0;
      expect(await keys(storage, '1/wal/00000001', { after: all[37] ?? '', limit: 5 })).toEqual(all.slice(38));
      expect(await keys(storage, '1/wal/00000001', { after: all[36] ?? '', limit: 1 })).toEqual(all.slice(37));
      expect(relay.requests.map(({ path }) => new URL(path, server.endpoint).searchParams.get('startFrom'))).toEqual([
        `${PREFIX}/${all[37] ?? ''}`,
        ...Array<string>(2).fill(`${PREFIX}/${all[36] ?? ''}`),
      ]);
    });
  });

  describe('computes the digest that proves an upload:', () => {
    it('bytes that change on their way are refused, and nothing is stored', async () => {
      relay.misbehave({ do: 'damage', part: 'request', atBodyByte: 2 });
      await expect(create('1/wal/a')).rejects.toMatchObject({ kind: 'unreachable', retryable: true });
      await create('1/wal/a');
      expect(await read(storage, '1/wal/a')).toBe('hello');
    });

    it('an MD5 that somebody else said counts for nothing', async () => {
      await create('1/wal/a');
      const [ours] = [await storage.head('1/wal/a', deadline)];
      expect(ours.digest).toBeDefined();
      // As a client may: the same text for other bytes.
      const blobContentMD5 = ours.digest?.value ?? new Uint8Array();
      await blobOf('1/wal/a').stageBlock('AAAA', 'other', 5);
      await blobOf('1/wal/a').commitBlockList(['AAAA'], { blobHTTPHeaders: { blobContentMD5 } });
      expect((await blobOf('1/wal/a').getProperties()).contentMD5).toEqual(Buffer.from(blobContentMD5));
      expect(await storage.head('1/wal/a', deadline)).not.toHaveProperty('digest');
      await create('1/wal/b');
      await blobOf('1/wal/b').setHTTPHeaders({ blobContentMD5 });
      expect(await storage.head('1/wal/b', deadline)).not.toHaveProperty('digest');
    });
  });

  it('says that a key is taken of which only blocks are there, and absent when it is read', async () => {
    await blobOf('1/wal/a').stageBlock('AAAA', 'other', 5);
    await expect(create('1/wal/a')).rejects.toMatchObject({ kind: 'exists' });
    await expect(storage.get('1/wal/a', deadline)).rejects.toMatchObject({ kind: 'absent' });
    expect(await keys(storage, '')).toEqual([]);
  });

  it('deletes snapshots as well, and not what is leased', async () => {
    await create('1/wal/a');
    await blobOf('1/wal/a').createSnapshot();
    await storage.delete(['1/wal/a'], deadline);
    await create('1/wal/b');
    await client.getBlobClient(`${PREFIX}/1/wal/b`).getBlobLeaseClient().acquireLease(-1);
    await expect(storage.delete(['1/wal/b'], deadline)).rejects.toMatchObject({ kind: 'denied' });
    await expect(create('1/wal/b')).rejects.toMatchObject({ kind: 'exists' });
    expect(await read(storage, '1/wal/b')).toBe('hello');
  });

  it('stores in the tier that the settings name, and tells of one that is offline', async () => {
    const connection = { AZURE_STORAGE_CONNECTION_STRING: server.connectionString };
    for (const tier of ['Hot', 'Cool', 'Cold']) {
      const tiered = await openAlone(container, connection, { storageClass: tier });
      await tiered.create(`1/wal/${tier}`, text('hello'), deadline);
      expect((await blobOf(`1/wal/${tier}`).getProperties()).accessTier).toBe(tier);
      tiered.close();
    }
    await blobOf('1/wal/Cool').setAccessTier('Archive');
    await expect(storage.get('1/wal/Cool', deadline)).rejects.toMatchObject({ kind: 'unreachable', retryable: false });
    await expect(create('1/wal/Cool')).rejects.toMatchObject({ kind: 'exists' });
  });

  describe('keeps to the permissions of a signature:', () => {
    const signed = (permissions: string, expiresInMs = 3_600_000): Promise<Storage> => {
      const query = generateBlobSASQueryParameters(
        {
          containerName: container,
          permissions: ContainerSASPermissions.parse(permissions),
          expiresOn: new Date(Date.now() + expiresInMs),
          version: '2023-11-03',
        },
        server.credential,
      );
      return openAlone(container, { AZURE_STORAGE_SAS_TOKEN: `?${query.toString()}` }, { endpoint: relay.endpoint });
    };
    const denied = { kind: 'denied', retryable: false };

    it('rc pushes and compares, and neither overwrites nor deletes', async () => {
      const push = await signed('rc');
      await push.create('1/wal/a', text('hello'), deadline);
      expect((await push.head('1/wal/a', deadline)).digest).toBeDefined();
      await expect(push.create('1/wal/a', text('other'), deadline)).rejects.toMatchObject({ kind: 'exists' });
      expect(await read(push, '1/wal/a')).toBe('hello');
      await expect(push.delete(['1/wal/a'], deadline)).rejects.toMatchObject(denied);
      await expect(keys(push, '')).rejects.toMatchObject(denied);
      push.close();
    });

    it('rl fetches, and stores nothing', async () => {
      await create('1/wal/a');
      const fetch = await signed('rl');
      expect(await read(fetch, '1/wal/a')).toBe('hello');
      expect(await keys(fetch, '1/')).toEqual(['1/wal/a']);
      await expect(fetch.get('1/wal/b', deadline)).rejects.toMatchObject({ kind: 'absent' });
      await expect(fetch.create('1/wal/b', text('x'), deadline)).rejects.toMatchObject(denied);
      await expect(fetch.delete(['1/wal/a'], deadline)).rejects.toMatchObject(denied);
      fetch.close();
    });

    it('rld prunes', async () => {
      await create('1/wal/a');
      await blobOf('1/wal/a').createSnapshot();
      const prune = await signed('rld');
      await prune.delete(await keys(prune, '1/'), deadline);
      expect(await keys(prune, '1/')).toEqual([]);
      prune.close();
    });

    it('one that has expired, or is not of this account, is denied, and never shown', async () => {
      const expired = await signed('rl', -3_600_000);
      const stranger = await openAlone(
        container,
        { AZURE_STORAGE_SAS_TOKEN: 'sv=2023-11-03&se=2099-01-01T00%3A00%3A00Z&sr=c&sp=rl&sig=AAAAsecretAAAA' },
        { endpoint: server.endpoint },
      );
      for (const refused of [expired, stranger]) {
        for (const act of [() => refused.get('1/wal/a', deadline), () => keys(refused, '')]) {
          const error: unknown = await act().catch((reason: unknown) => reason);
          expect(error).toMatchObject(denied);
          expect(String(error)).not.toContain('sig=');
        }
        refused.close();
      }
    });
  });

  it('denies a key that is not the account’s, for objects that are not there as well', async () => {
    const stranger = Buffer.alloc(64, 1).toString('base64');
    const refused = await openAlone(container, {
      AZURE_STORAGE_CONNECTION_STRING: server.connectionStringAt(server.endpoint, stranger),
    });
    const denied = { kind: 'denied', retryable: false };
    await expect(refused.create('1/wal/a', text('x'), deadline)).rejects.toMatchObject(denied);
    await expect(refused.get('1/wal/a', deadline)).rejects.toMatchObject(denied);
    await expect(refused.head('1/wal/a', deadline)).rejects.toMatchObject(denied);
    await expect(refused.delete(['1/wal/a'], deadline)).rejects.toMatchObject(denied);
    refused.close();
  });
});
