import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ArchiveSettings } from '../../src/settings/schema.ts';
import { Deadline } from '../../src/storage/deadline.ts';
import { startCanned, type AskedRequest, type Canned } from '../harness/net/canned.ts';
import type { Answer } from '../harness/net/http-messages.ts';
import { startNeverAccepting } from '../harness/net/never-accepts.ts';
import { needStore } from '../harness/need.ts';
import { makeScratch } from '../harness/scratch.ts';
import { minio, type Credentials } from '../harness/stores/minio.ts';
import { text } from './bodies.ts';
import { connectInExecutable, type Environment } from './bridge/executable.ts';
import { s3Archive } from './s3-place.ts';

const LIMIT_MS = 20_000;
/** Nothing of this machine's own is found. */
const NOTHING: Environment = { AWS_EC2_METADATA_DISABLED: 'true', HOME: '/nonexistent' };

/** In the executable, since each provider is a part of it that is loaded only when it is needed. */
describe.skipIf(needStore('minio'))('credentials for S3, in the executable', () => {
  let archive: ArchiveSettings;
  let root: Credentials;
  let scratch: string;
  let server: Canned | undefined;

  beforeAll(async () => {
    const store = await minio();
    root = store.root;
    archive = s3Archive(store, await store.makeBucket());
    scratch = makeScratch('aws', { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 });
  });
  afterEach(() => server?.close());

  const canned = async (answer: (request: AskedRequest) => Answer): Promise<string> => {
    server = await startCanned(answer);
    return server.endpoint;
  };
  const store = async (env: Environment, settings: Partial<ArchiveSettings> = {}): Promise<void> => {
    const deadline = new Deadline(LIMIT_MS, { what: 'the test' });
    const storage = await connectInExecutable({ ...archive, ...settings }, { ...NOTHING, ...env });
    try {
      await storage.create(`by/${String((count += 1))}`, text('content'), deadline);
    } finally {
      storage.close();
      deadline.close();
    }
  };
  let count = 0;
  const file = (name: string, content: string): string => {
    const path = join(scratch, name);
    writeFileSync(path, content, { mode: 0o700 });
    return path;
  };
  const temporary = (): Record<string, string> => ({
    AccessKeyId: root.accessKeyId,
    SecretAccessKey: root.secretAccessKey,
    Expiration: new Date(Date.now() + 3_600_000).toISOString(),
  });
  const json = (value: object): Answer => ({
    status: 200,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(value),
  });

  it('come from the environment', async () => {
    await store({ AWS_ACCESS_KEY_ID: root.accessKeyId, AWS_SECRET_ACCESS_KEY: root.secretAccessKey });
  });

  it('come from a profile, and its region too', async () => {
    const keys = `aws_access_key_id = ${root.accessKeyId}\naws_secret_access_key = ${root.secretAccessKey}\n`;
    const shared = file('credentials', `[wal]\n${keys}`);
    const config = file('config', '[profile wal]\nregion = eu-central-1\n');
    const env = { AWS_PROFILE: 'wal', AWS_SHARED_CREDENTIALS_FILE: shared, AWS_CONFIG_FILE: config };
    const { region: _, ...withoutRegion } = archive;
    const deadline = new Deadline(LIMIT_MS);
    const storage = await connectInExecutable(withoutRegion, { ...NOTHING, ...env });
    await storage.create('by/profile', text('content'), deadline);
    storage.close();
    deadline.close();
  });

  it('come from a process', async () => {
    const program = file('give', `#!/bin/sh\necho '${JSON.stringify({ Version: 1, ...temporary() })}'\n`);
    await store({
      AWS_CONFIG_FILE: file('config-process', `[default]\ncredential_process = ${program} --secret s3kr1t\n`),
    });
    const failing = file('fail', '#!/bin/sh\nexit 3\n');
    const config = file('config-failing', `[default]\ncredential_process = ${failing} --secret s3kr1t\n`);
    const error: unknown = await store({ AWS_CONFIG_FILE: config }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      kind: 'configuration',
      message: expect.stringContaining('no credentials') as unknown,
    });
    expect(String(error)).not.toContain('s3kr1t');
  });

  it("come from the container's service", async () => {
    const endpoint = await canned(() => json({ ...temporary(), Token: '' }));
    await store({ AWS_CONTAINER_CREDENTIALS_FULL_URI: `${endpoint}/creds`, AWS_CONTAINER_AUTHORIZATION_TOKEN: 'pod' });
    expect(server?.requests[0]?.headers['authorization']).toBe('pod');
  });

  it("come from the machine's role", async () => {
    const endpoint = await canned(({ method, path }) => {
      if (method === 'PUT') return { status: 200, body: 'session' };
      return path.endsWith('/') ? { status: 200, body: 'role' } : json({ Code: 'Success', ...temporary(), Token: '' });
    });
    await store({ AWS_EC2_METADATA_DISABLED: 'false', AWS_EC2_METADATA_SERVICE_ENDPOINT: endpoint });
    expect(server?.requests.map(({ method }) => method)).toEqual(['PUT', 'GET', 'GET']);
  });

  it('come for a web identity, over our transport', async () => {
    const fields = Object.entries({ ...temporary(), SessionToken: '' }).map(
      ([name, value]) => `<${name}>${value}</${name}>`,
    );
    const endpoint = await canned(() => ({
      status: 200,
      body:
        '<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult>' +
        `<Credentials>${fields.join('')}</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
    }));
    const identity = {
      AWS_WEB_IDENTITY_TOKEN_FILE: file('token', 'header.payload.signature'),
      AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/wal',
      AWS_REGION: 'eu-central-1',
      AWS_ENDPOINT_URL_STS: endpoint,
    };
    await store(identity);
    expect(server?.requests[0]?.body.toString()).toContain('Action=AssumeRoleWithWebIdentity');
    await server?.close();
    const refusing = await canned(() => ({
      status: 403,
      body: '<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>',
    }));
    await expect(store({ ...identity, AWS_ENDPOINT_URL_STS: refusing })).rejects.toMatchObject({
      kind: 'denied',
      message: expect.stringContaining('AccessDenied (403)') as unknown,
    });
  });

  it('are missing: that is a setting', async () => {
    await expect(store({})).rejects.toMatchObject({
      kind: 'configuration',
      retryable: false,
      hint: expect.stringContaining('AWS_ACCESS_KEY_ID') as unknown,
    });
    await expect(store({ AWS_PROFILE: 'nowhere' })).rejects.toMatchObject({ kind: 'configuration' });
  });

  describe('where nobody answers', () => {
    let nowhere: Awaited<ReturnType<typeof startNeverAccepting>>;
    beforeAll(async () => (nowhere = await startNeverAccepting()));
    afterAll(() => nowhere.close());

    it('are asked for no longer than a command has', async () => {
      const env = { AWS_EC2_METADATA_DISABLED: 'false', AWS_EC2_METADATA_SERVICE_ENDPOINT: nowhere.endpoint };
      const storage = await connectInExecutable(archive, { ...NOTHING, ...env });
      const limit = new Deadline(300, { what: 'the call' });
      const begun = performance.now();
      await expect(storage.head('a', limit)).rejects.toMatchObject({
        kind: 'unreachable',
        message: expect.stringContaining('the call') as unknown,
      });
      expect(performance.now() - begun).toBeLessThan(2_300);
      storage.close();
      await expect(store(env)).rejects.toMatchObject({ kind: 'configuration', retryable: false });
    });

    it('are unreachable, for now, where a token service is meant to give them', async () => {
      const env = {
        AWS_WEB_IDENTITY_TOKEN_FILE: file('token', 'header.payload.signature'),
        AWS_ROLE_ARN: 'arn:aws:iam::123456789012:role/wal',
        AWS_REGION: 'eu-central-1',
        AWS_ENDPOINT_URL_STS: nowhere.endpoint,
      };
      const storage = await connectInExecutable(archive, { ...NOTHING, ...env });
      const limit = new Deadline(4_500, { what: 'the call' });
      await expect(storage.head('a', limit)).rejects.toMatchObject({
        kind: 'unreachable',
        message: expect.stringContaining('which should give credentials') as unknown,
      });
      limit.close();
      storage.close();
    });
  });

  it('need no region where an endpoint is set, and demand one where none is', async () => {
    const { region: _, endpoint: __, ...amazons } = archive;
    await expect(connectInExecutable(amazons, NOTHING)).rejects.toMatchObject({
      kind: 'configuration',
      hint: expect.stringContaining('region') as unknown,
    });
    await expect(connectInExecutable({ ...archive, region: 'not a region' }, NOTHING)).rejects.toMatchObject({
      kind: 'configuration',
    });
    const { region: ___, ...withEndpoint } = archive;
    const storage = await connectInExecutable(withEndpoint, {
      ...NOTHING,
      AWS_ACCESS_KEY_ID: root.accessKeyId,
      AWS_SECRET_ACCESS_KEY: root.secretAccessKey,
    });
    const deadline = new Deadline(LIMIT_MS);
    // MinIO has a region here, and says so: us-east-1 was signed for.
    await expect(storage.get('a', deadline)).rejects.toMatchObject({
      kind: 'configuration',
      message: expect.stringContaining('eu-central-1') as unknown,
    });
    deadline.close();
    storage.close();
  });
});
