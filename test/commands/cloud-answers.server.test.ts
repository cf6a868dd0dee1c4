import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';

import { builtDist } from '../harness/dist.ts';
import { needStore } from '../harness/need.ts';
import { proxyPage, type Fault } from '../harness/net/faults.ts';
import { startRelay, type Relay } from '../harness/net/relay.ts';
import { CLOUDS, linesOf, makeCloudArchive, type Cloud } from '../harness/stores/archives.ts';
import { azurite } from '../harness/stores/azurite.ts';
import { fakeGcs } from '../harness/stores/fake-gcs.ts';
import { minio } from '../harness/stores/minio.ts';
import type { TestCluster } from '../harness/cluster.ts';
import { makeCluster } from './in-process.ts';

type Answer = Extract<Fault, { do: 'answer' }>['answer'];

const NAME = '00000001000000000000002A';
const SERVERS = { s3: minio, azure: azurite, gs: fakeGcs } as const;
/** Until a deadline of a second has passed, and longer. */
const ALWAYS = 1_000;

beforeAll(async () => {
  await builtDist();
});

/** What the launcher of a push ends with, that of a fetch in a recovery, and on a standby. */
type Statuses = readonly [push: number, strict: number, standby: number];

const UNREACHABLE: Statuses = [69, 202, 69];
const DENIED: Statuses = [77, 203, 77];
const SETTINGS: Statuses = [64, 201, 64];
const FULL: Statuses = [75, 206, 75];

/** As each store's documentation has them: its refusals, and what others answer in its place. */
const ANSWERS: Readonly<Record<Cloud, readonly (readonly [what: string, answer: Answer, statuses: Statuses])[]>> = {
  s3: [
    ['a server error', s3(500, 'InternalError'), UNREACHABLE],
    ['too many requests', s3(503, 'SlowDown', { 'retry-after': '1' }), UNREACHABLE],
    ['an archive tier', s3(403, 'InvalidObjectState'), UNREACHABLE],
    ['a page of a proxy', proxyPage(404), UNREACHABLE],
    ['a gateway without a store', proxyPage(502), UNREACHABLE],
    ['no permission', s3(403, 'AccessDenied'), DENIED],
    ['an unknown key', s3(403, 'InvalidAccessKeyId'), DENIED],
    ['an expired session', s3(400, 'ExpiredToken'), DENIED],
    ['a missing bucket', s3(404, 'NoSuchBucket'), SETTINGS],
    ['another region', s3(301, 'PermanentRedirect', { 'x-amz-bucket-region': 'eu-west-3' }), SETTINGS],
    ['an unknown feature', s3(501, 'NotImplemented'), SETTINGS],
    ['a missing encryption key', s3(400, 'KMS.NotFoundException'), SETTINGS],
    ['no room', s3(507, 'XMinioStorageFull'), FULL],
    ['a quota', s3(403, 'QuotaExceeded'), FULL],
  ],
  azure: [
    ['a server error', azure(500, 'InternalError'), UNREACHABLE],
    ['too many requests', azure(503, 'ServerBusy', { 'retry-after': '1' }), UNREACHABLE],
    ['a page of a proxy', proxyPage(404), UNREACHABLE],
    ['a gateway without a store', proxyPage(502), UNREACHABLE],
    ['no permission', azure(403, 'AuthorizationPermissionMismatch'), DENIED],
    ['a wrong signature', azure(403, 'AuthenticationFailed'), DENIED],
    ['a missing container', azure(404, 'ContainerNotFound'), SETTINGS],
  ],
  gs: [
    ['a server error', gs(500, 'backendError'), UNREACHABLE],
    ['too many requests', gs(429, 'rateLimitExceeded', { 'retry-after': '1' }), UNREACHABLE],
    ['a gateway without a store', proxyPage(502), UNREACHABLE],
    ['no permission', gs(403, 'forbidden'), DENIED],
    ['a missing bucket', gs(404, 'notFound'), SETTINGS],
  ],
};

function s3(status: number, code: string, headers: Answer['headers'] = {}): Answer {
  const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>m</Message></Error>`;
  return { status, headers: { 'content-type': 'application/xml', ...headers }, body };
}

function azure(status: number, code: string, headers: Answer['headers'] = {}): Answer {
  const body = `<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>m</Message></Error>`;
  const own = { 'content-type': 'application/xml', 'x-ms-error-code': code, 'x-ms-request-id': 'r' };
  return { status, headers: { ...own, ...headers }, body };
}

function gs(status: number, reason: string, headers: Answer['headers'] = {}): Answer {
  const body = JSON.stringify({ error: { code: status, message: 'm', errors: [{ reason, message: 'm' }] } });
  return { status, headers: { 'content-type': 'application/json; charset=UTF-8', ...headers }, body };
}

interface Scene {
  readonly cluster: TestCluster;
  readonly relay: Relay;
  readonly push: () => Promise<number | null>;
  readonly fetch: () => Promise<number | null>;
}

/** A cluster with a segment to push, and an archive behind a relay. */
async function scene(cloud: Cloud): Promise<Scene> {
  const relay = await startRelay({ target: (await SERVERS[cloud]()).endpoint });
  onTestFinished(() => relay.close());
  const { table, env } = await makeCloudArchive(cloud, relay.endpoint);
  const cluster = makeCluster();
  cluster.settings({ top: 'deadline = "1s"', fetch: 'deadline = "1s"', archives: [linesOf(table)] });
  cluster.segment(NAME);
  const run = async (command: 'wal-push' | 'wal-fetch', ...args: string[]): Promise<number | null> =>
    (await cluster.run(command, args, { launcher: 'dist', env })).status;
  return {
    cluster,
    relay,
    push: () => run('wal-push', `pg_wal/${NAME}`),
    fetch: () => run('wal-fetch', NAME, 'pg_wal/RECOVERYXLOG'),
  };
}

for (const cloud of ['s3', 'azure', 'gs'] as const) {
  describe.skipIf(needStore(CLOUDS[cloud]))(`what ${cloud}:// answers, as the server sees it`, () => {
    test.each(ANSWERS[cloud])('%s', async (_, answer, [push, strict, standby]) => {
      const { cluster, relay, ...ends } = await scene(cloud);
      relay.misbehave({ do: 'answer', answer }, { times: ALWAYS });
      expect(await ends.push()).toBe(push);
      expect(await ends.fetch()).toBe(strict);
      cluster.signal('standby.signal');
      expect(await ends.fetch()).toBe(standby);
      relay.behave();
      expect(await ends.push()).toBe(0);
    });

    test('an answer that is lost is no failure, and stores once', async () => {
      const { relay, push } = await scene(cloud);
      relay.misbehave({ do: 'lose-response' }, { when: ({ method }) => method !== 'GET' && method !== 'HEAD' });
      expect(await push()).toBe(0);
      expect(await push()).toBe(0);
    });
  });
}

describe.skipIf(needStore('minio'))('what only s3:// says', () => {
  test('two writers at once: neither has decided, and the next attempt does', async () => {
    const { relay, push } = await scene('s3');
    const answer = s3(409, 'ConditionalRequestConflict');
    relay.misbehave({ do: 'answer', answer }, { when: ({ method }) => method === 'PUT', times: 2 });
    expect(await push()).toBe(0);
  });

  test('what lies under a delete marker was there, and is not absent', async () => {
    const { relay, fetch, push } = await scene('s3');
    expect(await push()).toBe(0);
    relay.misbehave({ do: 'answer', answer: s3(404, 'NoSuchKey', { 'x-amz-delete-marker': 'true' }) });
    expect(await fetch()).toBe(204);
  });
});

describe.skipIf(needStore('azurite'))('what only azure:// says', () => {
  test('a blob in the archive tier is out of reach, and not absent', async () => {
    const { relay, fetch, push } = await scene('azure');
    expect(await push()).toBe(0);
    relay.misbehave({ do: 'answer', answer: azure(409, 'BlobArchived') });
    expect(await fetch()).toBe(202);
  });
});
