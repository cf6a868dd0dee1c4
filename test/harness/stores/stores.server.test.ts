import { S3Client, GetObjectCommand, GetObjectLockConfigurationCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { describe, expect, it } from 'vitest';

import { needStore } from '../need.ts';
import { isRunning } from '../wait.ts';
import { azurite, startAzurite } from './azurite.ts';
import { fakeGcs, startFakeGcs } from './fake-gcs.ts';
import { minio, startMinio, type Credentials, type Minio } from './minio.ts';
import { fillBucket, type Store } from './server.ts';

const STORES = [
  { name: 'minio', start: minio, bucket: async () => (await minio()).makeBucket() },
  { name: 'azurite', start: azurite, bucket: async () => (await azurite()).makeContainer() },
  { name: 'fake-gcs-server', start: fakeGcs, bucket: async () => (await fakeGcs()).makeBucket() },
] as const;

describe.each(STORES)('$name', ({ name, start, bucket }) => {
  it.skipIf(needStore(name))('keeps what its independent eye puts there', async () => {
    const store: Store = await start();
    const place = await bucket();
    const other = await bucket();
    const keys = Array.from({ length: 150 }, (_, index) => `1/wal/${index} ü`).sort();
    await fillBucket(store.eye, place, keys);
    await store.eye.put(place, 'big', Buffer.alloc(3_000_000, 'big'));
    expect(await store.eye.keys(place, '1/')).toEqual(keys);
    expect(await store.eye.keys(other)).toEqual([]);
    expect((await store.eye.read(place, 'big')).equals(Buffer.alloc(3_000_000, 'big'))).toBe(true);
  });
});

describe('users of minio', () => {
  it.skipIf(needStore('minio'))('may do what their policy allows, and nothing else', async () => {
    const server = await minio();
    const bucket = await server.makeBucket();
    await server.eye.put(bucket, 'a', Buffer.from('1'));
    const nobody = clientOf(server, await server.makeUser());
    const writer = clientOf(
      server,
      await server.makeUser({
        Statement: [{ Effect: 'Allow', Action: ['s3:PutObject'], Resource: [`arn:aws:s3:::${bucket}/*`] }],
      }),
    );
    const put = new PutObjectCommand({ Bucket: bucket, Key: 'b', Body: 'b' });
    const get = new GetObjectCommand({ Bucket: bucket, Key: 'a' });
    await expect(nobody.send(put)).rejects.toMatchObject({ name: 'AccessDenied' });
    await writer.send(put);
    await expect(writer.send(get)).rejects.toMatchObject({ name: 'AccessDenied' });
    expect(await server.eye.keys(bucket)).toEqual(['a', 'b']);
  });

  it.skipIf(needStore('minio'))('find versions and locks where a bucket has them', async () => {
    const server = await minio();
    const { client } = server;
    const versioned = await server.makeBucket(undefined, { versioning: true });
    expect(await client.getBucketVersioning(versioned)).toMatchObject({ Status: 'Enabled' });
    const locked = await server.makeBucket(undefined, { objectLock: true });
    const lock = await clientOf(server, server.root).send(new GetObjectLockConfigurationCommand({ Bucket: locked }));
    expect(lock.ObjectLockConfiguration).toEqual({ ObjectLockEnabled: 'Enabled' });
    expect(await client.getBucketVersioning(locked)).toMatchObject({ Status: 'Enabled' });
  });
});

function clientOf(server: Minio, credentials: Credentials): S3Client {
  return new S3Client({
    endpoint: server.endpoint,
    region: server.region,
    credentials,
    forcePathStyle: true,
    maxAttempts: 1,
  });
}

const OWN = [
  { name: 'minio', start: startMinio },
  { name: 'azurite', start: startAzurite },
  { name: 'fake-gcs-server', start: startFakeGcs },
] as const;

describe.each(OWN)('$name, one’s own', ({ name, start }) => {
  it.skipIf(needStore(name))('is gone once it is stopped', async () => {
    const { server } = await start();
    expect(isRunning(server.pid)).toBe(true);
    await server.stop();
    expect(isRunning(server.pid)).toBe(false);
    await expect(fetch(server.endpoint)).rejects.toThrow();
  });
});
