import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';

import { builtDist } from '../harness/dist.ts';
import { needProgram, needStore } from '../harness/need.ts';
import { certificates } from '../harness/net/certificates.ts';
import { startForwardProxy, type ForwardProxy, type ProxyOptions } from '../harness/net/forward-proxy.ts';
import { startRelay } from '../harness/net/relay.ts';
import { CLOUDS, linesOf, makeCloudArchive, type Cloud, type CloudArchive } from '../harness/stores/archives.ts';
import { azurite } from '../harness/stores/azurite.ts';
import { fakeGcs } from '../harness/stores/fake-gcs.ts';
import { minio } from '../harness/stores/minio.ts';
import { makeCluster } from './in-process.ts';

const NAME = '00000001000000000000002A';
const SERVERS = { s3: minio, azure: azurite, gs: fakeGcs } as const;

beforeAll(async () => {
  await builtDist();
});

async function proxy(options: ProxyOptions = {}): Promise<ForwardProxy> {
  const made = await startForwardProxy(options);
  onTestFinished(() => made.close());
  return made;
}

/** What a push to the archive ends with, in this environment. */
async function push(
  archive: CloudArchive,
  env: Readonly<Record<string, string>>,
  options: Record<string, string> = {},
): Promise<{ status: number | null; stderr: string }> {
  const cluster = makeCluster({
    settings: { top: 'deadline = "3s"', archives: [linesOf(archive.table, options)] },
  });
  cluster.segment(NAME);
  return cluster.run('wal-push', [`pg_wal/${NAME}`], { launcher: 'dist', env: { ...archive.env, ...env } });
}

for (const cloud of ['s3', 'azure', 'gs'] as const) {
  describe.skipIf(needStore(CLOUDS[cloud]))(`${cloud}:// by way of others`, () => {
    test('goes through the proxy of the environment, with its credentials, and past it where NO_PROXY says so', async () => {
      const archive = await makeCloudArchive(cloud);
      const through = await proxy({ credentials: { user: 'me', password: 'p@ss' } });
      expect(await push(archive, { HTTP_PROXY: through.url })).toMatchObject({ status: 0, stderr: '' });
      expect(through.requests.length).toBeGreaterThanOrEqual(2);
      const passed = through.requests.length;
      expect(await push(archive, { HTTP_PROXY: through.url, NO_PROXY: '127.0.0.1' })).toMatchObject({ status: 0 });
      expect(through.requests).toHaveLength(passed);
      const refused = await push(archive, { HTTP_PROXY: through.urlWithoutCredentials });
      expect(refused.status).toBe(64);
      expect(refused.stderr).toContain('the proxy demands credentials');
    });
  });
}

// Google's store takes credentials over TLS, which no server here gives: test/storage/gs-secure.server.test.ts has these.
for (const cloud of ['s3', 'azure'] as const satisfies readonly Cloud[]) {
  describe.skipIf(needStore(CLOUDS[cloud]) || needProgram('openssl'))(`${cloud}:// over TLS`, () => {
    test('trusts the authority of ca_file, and no other, also in the tunnel of a proxy', async () => {
      const { caFile, key, cert } = certificates();
      const relay = await startRelay({ target: (await SERVERS[cloud]()).endpoint, tls: { key, cert } });
      onTestFinished(() => relay.close());
      const archive = await makeCloudArchive(cloud, relay.endpoint);
      expect(await push(archive, {}, { ca_file: caFile })).toMatchObject({ status: 0, stderr: '' });
      const stranger = await push(archive, {});
      expect(stranger.status).toBe(69);
      expect(stranger.stderr).toContain('no trusted connection');
      expect(stranger.stderr).toContain('ca_file');
      const through = await proxy();
      expect(await push(archive, { HTTPS_PROXY: through.url }, { ca_file: caFile })).toMatchObject({ status: 0 });
      expect(through.requests.map(({ method }) => method)).toContain('CONNECT');
    });
  });
}
