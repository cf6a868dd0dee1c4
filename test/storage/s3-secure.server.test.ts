import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ArchiveSettings } from '../../src/settings/schema.ts';
import { Deadline } from '../../src/storage/deadline.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { needProgram, needStore } from '../harness/need.ts';
import { certificates } from '../harness/net/certificates.ts';
import { startForwardProxy } from '../harness/net/forward-proxy.ts';
import { startRelay, type Relay } from '../harness/net/relay.ts';
import { minio, type Minio } from '../harness/stores/minio.ts';
import { bodyOf, collect, noise } from './bodies.ts';
import { connectInExecutable } from './bridge/executable.ts';
import { RUNTIMES, s3Archive } from './s3-place.ts';

const isLeftOut = needStore('minio') || needProgram('openssl');

describe.skipIf(isLeftOut)('S3 over TLS, with a certificate of a private authority', () => {
  let server: Minio;
  let relay: Relay;
  let archive: ArchiveSettings;
  let storage: Storage | undefined;
  const deadline = new Deadline(60_000, { what: 'the test' });
  const bytes = noise(3_000_000, 1);

  beforeAll(async () => {
    server = await minio();
    relay = await startRelay({ target: server.endpoint, tls: certificates() });
    archive = s3Archive({ endpoint: relay.endpoint, region: server.region }, await server.makeBucket());
  });
  afterEach(() => storage?.close());
  afterAll(async () => {
    deadline.close();
    await relay.close();
  });

  describe.each(RUNTIMES)('%s', (runtime, connect) => {
    it('is trusted where ca_file names it', async () => {
      storage = await connect({ ...archive, caFile: certificates().caFile });
      await storage.create(runtime, bodyOf(bytes), deadline);
      expect((await collect((await storage.get(runtime, deadline)).bytes)).equals(bytes)).toBe(true);
    });

    it('is not trusted otherwise, and nothing is asked', async () => {
      relay.requests.length = 0;
      storage = await connect(archive);
      await expect(storage.head('a', deadline)).rejects.toMatchObject({
        kind: 'unreachable',
        retryable: false,
        hint: expect.stringContaining('ca_file') as unknown,
      });
      expect(relay.requests).toEqual([]);
    });
  });

  it('is reached through the proxy of the environment', async () => {
    await using proxy = await startForwardProxy();
    const { accessKeyId, secretAccessKey } = server.root;
    storage = await connectInExecutable(
      { ...archive, caFile: certificates().caFile },
      { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, HTTPS_PROXY: proxy.url },
    );
    await storage.create('through', bodyOf(bytes), deadline);
    expect((await storage.head('through', deadline)).size).toBe(bytes.length);
    expect(proxy.requests.length).toBeGreaterThan(0);
  });
});
