import { globalAgent } from 'node:https';
import { Readable } from 'node:stream';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { ArchiveSettings } from '../../src/settings/schema.ts';
import { defaultCredential } from '../../src/storage/azure/identity.ts';
import { connect } from '../../src/storage/connect.ts';
import { Deadline } from '../../src/storage/deadline.ts';
import { StorageError } from '../../src/storage/errors.ts';
import { Transport, type HttpRequest, type HttpResponse } from '../../src/storage/http/transport.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { needProgram } from '../harness/need.ts';
import { startCanned, type AskedRequest, type Canned } from '../harness/net/canned.ts';
import { certificates } from '../harness/net/certificates.ts';
import type { Answer } from '../harness/net/http-messages.ts';
import { startRelay, type Relay } from '../harness/net/relay.ts';
import { azureArchive } from './azure-place.ts';
import { collect } from './bodies.ts';
import { connectInExecutable } from './bridge/executable.ts';

const BLOB: Answer = {
  status: 200,
  headers: {
    'x-ms-request-id': 'b5a345e9',
    etag: '"0x1"',
    'last-modified': 'Thu, 26 Nov 2026 09:58:14 GMT',
    'content-length': '5',
  },
  body: 'hello',
};

/** What App Service offers to its programs: a managed identity without the addresses of Azure's network. */
function tokenService({ path, headers }: AskedRequest): Answer {
  if (headers['x-identity-header'] !== 'the header' || !path.includes('storage.azure.com')) return { status: 400 };
  const token = {
    access_token: 'the token',
    expires_on: String(Math.floor(Date.now() / 1_000) + 86_400),
    resource: 'https://storage.azure.com',
    token_type: 'Bearer',
  };
  return { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify(token) };
}

const onNode = (archive: ArchiveSettings, env: Record<string, string>): Promise<Storage> => {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  return connect(archive);
};

describe.skipIf(needProgram('openssl')).each([
  { where: 'on Node', open: onNode },
  { where: 'in the executable', open: connectInExecutable },
])('the credentials of a host, $where', ({ open }) => {
  // One for the whole process, as the SDK remembers the first that it is told of, and its tokens.
  let tokens: Canned;
  let hasIdentity = true;
  let blobs: Canned;
  let relay: Relay;
  let storage: Storage | undefined;
  const deadline = new Deadline(60_000, { what: 'the test' });

  beforeAll(async () => {
    tokens = await startCanned((request) => (hasIdentity ? tokenService(request) : { status: 400 }));
  });
  afterAll(() => tokens.close());
  beforeEach(async () => {
    tokens.requests.length = 0;
    blobs = await startCanned(({ headers }) =>
      headers['authorization'] === 'Bearer the token'
        ? BLOB
        : { status: 401, headers: { 'x-ms-error-code': 'NoAuthenticationInformation' } },
    );
    const { key, cert } = certificates();
    relay = await startRelay({ target: blobs.endpoint, tls: { key, cert } });
  });
  afterEach(async () => {
    storage?.close();
    vi.unstubAllEnvs();
    await relay.close();
    await blobs.close();
  });

  const openThere = async (): Promise<Storage> => {
    const archive = azureArchive('cont', { endpoint: relay.endpoint, caFile: certificates().caFile });
    storage = await open(archive, {
      AZURE_TOKEN_CREDENTIALS: 'ManagedIdentityCredential',
      IDENTITY_ENDPOINT: `${tokens.endpoint}/token`,
      IDENTITY_HEADER: 'the header',
    });
    return storage;
  };

  it('are none where the host has no identity, which is said before anything is asked', async () => {
    const opened = await openThere();
    hasIdentity = false;
    const error: unknown = await opened.get('1/wal/a', deadline).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      kind: 'configuration',
      retryable: false,
      message: 'no credentials for Azure were found',
    });
    expect(relay.requests).toHaveLength(0);
    hasIdentity = true;
  });

  it('are a token of its managed identity, asked for once', async () => {
    const opened = await openThere();
    for (let count = 0; count < 3; count += 1) {
      expect((await collect((await opened.get('1/wal/a', deadline)).bytes)).toString()).toBe('hello');
    }
    expect(tokens.requests).toHaveLength(1);
    expect(relay.requests).toHaveLength(3);
  });

  it('never hold a call past its deadline', async () => {
    const opened = await openThere();
    relay.misbehave({ do: 'silence' }, { times: 9 });
    const short = new Deadline(300, { what: 'the test' });
    const start = performance.now();
    await expect(opened.head('1/wal/a', short)).rejects.toMatchObject({ kind: 'unreachable', retryable: false });
    expect(performance.now() - start).toBeLessThan(2_300);
    short.close();
  });
});

/** A network in which a tenant of Azure refuses a client, or nobody answers. */
class Tenant extends Transport {
  readonly asked: string[] = [];
  readonly #answer: (url: URL) => { status: number; body: unknown };

  constructor(answer: (url: URL) => { status: number; body: unknown }) {
    super({ routeTo: () => ({ agent: globalAgent }), close: () => undefined }, { connectMs: 1, continueMs: 1 });
    this.#answer = answer;
  }

  override async send({ url }: HttpRequest): Promise<HttpResponse> {
    this.asked.push(url.href);
    const { status, body } = this.#answer(url);
    return {
      status,
      headers: { 'content-type': 'application/json' },
      body: Readable.from([Buffer.from(JSON.stringify(body))]),
    };
  }
}

describe('a service principal', () => {
  const LOGIN = 'https://login.microsoftonline.com';
  const tenant = '00000000-0000-0000-0000-000000000001';

  beforeEach(() => {
    vi.stubEnv('AZURE_TOKEN_CREDENTIALS', 'EnvironmentCredential');
    vi.stubEnv('AZURE_TENANT_ID', tenant);
    vi.stubEnv('AZURE_CLIENT_ID', '00000000-0000-0000-0000-000000000002');
    vi.stubEnv('AZURE_CLIENT_SECRET', 'the secret');
  });
  afterEach(() => {
    vi.unstubAllEnvs();
  });

  const configuration = {
    issuer: `${LOGIN}/${tenant}/v2.0`,
    authorization_endpoint: `${LOGIN}/${tenant}/oauth2/v2.0/authorize`,
    token_endpoint: `${LOGIN}/${tenant}/oauth2/v2.0/token`,
    jwks_uri: `${LOGIN}/${tenant}/discovery/v2.0/keys`,
  };
  const answering = (token: { status: number; body: unknown }): Tenant =>
    new Tenant(({ pathname }) => (pathname.endsWith('/token') ? token : { status: 200, body: configuration }));
  const ending = (transport: Tenant): Promise<unknown> =>
    defaultCredential(transport)
      .getToken('https://storage.azure.com/.default')
      .catch((error: unknown) => error);

  it('has its token', async () => {
    const body = { token_type: 'Bearer', expires_in: 3_600, access_token: 'the token' };
    expect(await ending(answering({ status: 200, body }))).toMatchObject({ token: 'the token' });
  });

  it('is denied where its tenant refuses it, and its secret is not told', async () => {
    const body = { error: 'invalid_client', error_description: 'AADSTS7000215: Invalid client secret.' };
    const error = await ending(answering({ status: 401, body }));
    expect(error).toMatchObject({
      kind: 'denied',
      message: 'login.microsoftonline.com refuses the credentials of this host',
    });
    expect(String(error)).not.toContain('the secret');
  });

  it('is unreachable where its tenant is', async () => {
    const lost = new StorageError('unreachable', 'no answer from login.microsoftonline.com: ENOTFOUND');
    const transport = new Tenant(() => {
      throw lost;
    });
    expect(await ending(transport)).toBe(lost);
  });
});
