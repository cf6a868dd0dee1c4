import { PutObjectLockConfigurationCommand, S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ArchiveSettings } from '../../src/settings/schema.ts';
import { connect } from '../../src/storage/connect.ts';
import { Deadline } from '../../src/storage/deadline.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { needStore } from '../harness/need.ts';
import { startForwardProxy } from '../harness/net/forward-proxy.ts';
import { minio, MINIO_DOMAIN, type BucketOptions, type Minio } from '../harness/stores/minio.ts';
import { connectInExecutable } from './bridge/executable.ts';
import { bodyOf, collect, noise, text } from './bodies.ts';
import { enter, makeS3Place, ODD_PREFIX, s3Archive } from './s3-place.ts';

describe.skipIf(needStore('minio'))('a real store of S3', () => {
  let deadline: Deadline;
  const open: Storage[] = [];

  beforeEach(() => {
    deadline = new Deadline(30_000, { what: 'the test' });
  });
  afterEach(() => {
    deadline.close();
    for (const storage of open.splice(0)) storage.close();
  });

  const place = async (settings: Partial<ArchiveSettings> = {}, options: BucketOptions = {}) => {
    const made = await makeS3Place({ conditionalCreate: 'proven', ...settings }, connect, options);
    open.push(made.storage);
    return made;
  };
  const read = async (storage: Storage, key: string): Promise<Buffer> =>
    collect((await storage.get(key, deadline)).bytes);
  const list = async (storage: Storage): Promise<string[]> => {
    const keys: string[] = [];
    for await (const page of storage.list('', {}, deadline)) keys.push(...page.map(({ key }) => key));
    return keys.sort();
  };

  it("holds what was stored, byte for byte, as another vendor's client sees it", async () => {
    const { storage, server, bucket } = await place();
    const bytes = noise(5_000_000, 1);
    await storage.create('1/wal/a b+%41ü', bodyOf(bytes), deadline);
    const key = `${ODD_PREFIX}/1/wal/a b+%41ü`;
    expect(await server.eye.keys(bucket)).toEqual([key]);
    expect((await server.eye.read(bucket, key)).equals(bytes)).toBe(true);
    await server.eye.put(bucket, `${ODD_PREFIX}/theirs`, bytes);
    expect((await read(storage, 'theirs')).equals(bytes)).toBe(true);
    expect(await list(storage)).toEqual(['1/wal/a b+%41ü', 'theirs']);
  });

  it("names the bucket in the host, where a store's addresses are so", async () => {
    const server = await minio();
    const bucket = await server.makeBucket();
    await using proxy = await startForwardProxy({ domain: { name: MINIO_DOMAIN, address: '127.0.0.1' } });
    const host = `${MINIO_DOMAIN}:${server.server.port}`;
    const storage = await connectInExecutable(
      s3Archive({ endpoint: `http://${host}`, region: server.region }, bucket, {
        forcePathStyle: false,
        conditionalCreate: 'proven',
      }),
      {
        AWS_ACCESS_KEY_ID: server.root.accessKeyId,
        AWS_SECRET_ACCESS_KEY: server.root.secretAccessKey,
        HTTP_PROXY: proxy.url,
      },
    );
    open.push(storage);
    await storage.create('1/wal/a', text('content'), deadline);
    expect((await read(storage, '1/wal/a')).toString()).toBe('content');
    expect(await list(storage)).toEqual(['1/wal/a']);
    expect(await server.eye.keys(bucket)).toEqual([`${ODD_PREFIX}/1/wal/a`]);
    const hosts = new Set(proxy.requests.map(({ target }) => new URL(target).host));
    expect(hosts).toEqual(new Set([`${bucket}.${host}`]));
  });

  it('lists and reads nothing beside the prefix', async () => {
    const { storage, server, bucket } = await place();
    await server.eye.put(bucket, 'a', Buffer.from('x'));
    await server.eye.put(bucket, `${ODD_PREFIX}x/a`, Buffer.from('x'));
    await server.eye.put(bucket, `${ODD_PREFIX}/b`, Buffer.from('x'));
    expect(await list(storage)).toEqual(['b']);
    await expect(storage.get('a', deadline)).rejects.toMatchObject({ kind: 'absent' });
  });

  it('keeps what was deleted behind a marker: that is not absent, and comes back', async () => {
    const { storage, server, bucket } = await place({}, { versioning: true });
    await storage.create('a', text('content'), deadline);
    await storage.delete(['a'], deadline);
    const expected = { kind: 'corrupt', message: expect.stringContaining('was deleted') as unknown };
    await expect(storage.get('a', deadline)).rejects.toMatchObject(expected);
    await expect(storage.head('a', deadline)).rejects.toMatchObject(expected);
    expect(await list(storage)).toEqual([]);
    const marker = await markerOf(server.client, bucket);
    await server.client.removeObject(bucket, `${ODD_PREFIX}/a`, { versionId: marker });
    expect((await read(storage, 'a')).toString()).toBe('content');
  });

  it('takes an object again whose key holds a marker', async () => {
    const { storage } = await place({}, { versioning: true });
    await storage.create('a', text('one'), deadline);
    await storage.delete(['a'], deadline);
    await storage.create('a', text('two'), deadline);
    expect((await read(storage, 'a')).toString()).toBe('two');
  });

  it('takes objects into a bucket that locks them', async () => {
    const { storage, server, bucket } = await place({}, { objectLock: true });
    await lockByDefault(server, bucket);
    await storage.create('a', text('content'), deadline);
    expect((await storage.head('a', deadline)).digest?.algorithm).toBe('sha256');
    await expect(storage.create('a', text('other'), deadline)).rejects.toMatchObject({ kind: 'exists' });
    // A lock keeps the version, and lets a marker hide it.
    await storage.delete(['a'], deadline);
    await expect(storage.get('a', deadline)).rejects.toMatchObject({ kind: 'corrupt' });
    const versions = await versionsOf(server.client, bucket);
    const version = versions.find(({ isDeleteMarker }) => isDeleteMarker !== true)?.versionId ?? '';
    await expect(
      server.client.removeObject(bucket, `${ODD_PREFIX}/a`, { versionId: version, governanceBypass: true }),
    ).rejects.toThrow(/WORM protected/);
    await server.client.removeObject(bucket, `${ODD_PREFIX}/a`, { versionId: await markerOf(server.client, bucket) });
    expect((await read(storage, 'a')).toString()).toBe('content');
  });

  it.each<[string, Partial<ArchiveSettings>]>([
    ['AES256', { sse: 'AES256' }],
    ['aws:kms', { sse: 'aws:kms', kmsKey: 'test-key' }],
    ['a storage class', { storageClass: 'REDUCED_REDUNDANCY' }],
  ])('stores as it is told, and says the digest of what it was given: %s', async (_, settings) => {
    const { storage } = await place(settings);
    const body = bodyOf(noise(300_000, 2));
    await storage.create('a', body, deadline);
    const info = await storage.head('a', deadline);
    expect(info).toMatchObject({ size: 300_000, digest: { algorithm: 'sha256' } });
    expect(Buffer.from(info.digest?.value ?? []).equals(Buffer.from(await body.digest('sha256')))).toBe(true);
    expect((await read(storage, 'a')).equals(noise(300_000, 2))).toBe(true);
  });

  it('is misconfigured with a storage class that it does not have', async () => {
    const { storage } = await place({ storageClass: 'FANCY' });
    await expect(storage.create('a', text('x'), deadline)).rejects.toMatchObject({ kind: 'configuration' });
  });

  it('says which region is the right one', async () => {
    const { archive } = await place();
    const storage = await connect({ ...archive, region: 'us-west-2' });
    open.push(storage);
    const expected = { kind: 'configuration', message: expect.stringContaining('region eu-central-1') as unknown };
    await expect(storage.get('a', deadline)).rejects.toMatchObject(expected);
    await expect(storage.head('a', deadline)).rejects.toMatchObject(expected);
    await expect(storage.create('a', text('x'), deadline)).rejects.toMatchObject(expected);
    await expect(list(storage)).rejects.toMatchObject(expected);
  });

  it.each<[string, (root: { accessKeyId: string; secretAccessKey: string }) => Promise<void> | void]>([
    ['an unknown key', ({ secretAccessKey }) => enter({ accessKeyId: 'nobody', secretAccessKey })],
    ['a wrong secret', ({ accessKeyId }) => enter({ accessKeyId, secretAccessKey: 'quite-wrong' })],
    ['a user without permissions', async () => enter(await (await minio()).makeUser())],
  ])('refuses %s', async (_, change) => {
    const { archive, server, storage: before } = await place();
    await before.create('a', text('x'), deadline);
    await change(server.root);
    const storage = await connect(archive);
    open.push(storage);
    const expected = { kind: 'denied', retryable: false };
    await expect(storage.create('b', text('x'), deadline)).rejects.toMatchObject(expected);
    await expect(storage.get('a', deadline)).rejects.toMatchObject(expected);
    await expect(storage.get('nothing', deadline)).rejects.toMatchObject(expected);
    await expect(storage.head('a', deadline)).rejects.toMatchObject(expected);
    await expect(list(storage)).rejects.toMatchObject(expected);
    await expect(storage.delete(['a'], deadline)).rejects.toMatchObject(expected);
    enter(server.root);
    expect(await list(before)).toEqual(['a']);
  });

  it('has no use for bucket names that it can not have', async () => {
    const server = await minio();
    enter(server.root);
    const storage = await connect(s3Archive(server, 'No_Bucket'));
    open.push(storage);
    await expect(storage.get('a', deadline)).rejects.toMatchObject({ kind: 'configuration' });
  });
});

/** The types of the other client give no promise for this one. */
async function lockByDefault({ endpoint, region, root }: Minio, bucket: string): Promise<void> {
  const client = new S3Client({ endpoint, region, credentials: root, forcePathStyle: true });
  await client.send(
    new PutObjectLockConfigurationCommand({
      Bucket: bucket,
      ObjectLockConfiguration: {
        ObjectLockEnabled: 'Enabled',
        Rule: { DefaultRetention: { Mode: 'COMPLIANCE', Days: 1 } },
      },
    }),
  );
  client.destroy();
}

interface Version {
  readonly versionId?: string;
  readonly isDeleteMarker?: boolean;
}

type Client = Awaited<ReturnType<typeof minio>>['client'];

async function versionsOf(client: Client, bucket: string): Promise<Version[]> {
  const versions: Version[] = [];
  const listing = client.listObjects(bucket, '', true, { IncludeVersion: true });
  for await (const version of listing as AsyncIterable<Version>) versions.push(version);
  return versions;
}

async function markerOf(client: Client, bucket: string): Promise<string> {
  return (await versionsOf(client, bucket)).find(({ isDeleteMarker }) => isDeleteMarker)?.versionId ?? '';
}
