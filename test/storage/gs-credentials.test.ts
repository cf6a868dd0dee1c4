import { generateKeyPairSync } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { Readable } from 'node:stream';
import { gcpMetadata } from 'google-auth-library';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Deadline } from '../../src/storage/deadline.ts';
import { StorageError } from '../../src/storage/errors.ts';
import type { Sender } from '../../src/storage/gs/auth-fetch.ts';
import { Credentials } from '../../src/storage/gs/credentials.ts';
import type { HttpRequest } from '../../src/storage/http/transport.ts';
import { startCanned } from '../harness/net/canned.ts';
import type { Answer } from '../harness/net/http-messages.ts';
import { json } from './gs-answers.ts';

const TOKEN = { access_token: 'a-token', expires_in: 3_600, token_type: 'Bearer' };
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
const SERVICE_ACCOUNT = {
  type: 'service_account',
  client_email: 'a@b.iam.gserviceaccount.com',
  private_key_id: 'id',
  private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
};
const USER = {
  type: 'authorized_user',
  client_id: 'an-id',
  client_secret: 'a-secret',
  refresh_token: 'a-refresh-token',
  quota_project_id: 'a-project',
};
const METADATA = { 'metadata-flavor': 'Google' };

let home: string;
let deadline: Deadline;
let sent: HttpRequest[];

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'walseal-gs-'));
  deadline = new Deadline(10_000);
  sent = [];
  vi.stubEnv('HOME', home);
  vi.stubEnv('CLOUDSDK_CONFIG', '');
  vi.stubEnv('METADATA_SERVER_DETECTION', 'none');
  for (const name of ['GOOGLE_APPLICATION_CREDENTIALS', 'GCE_METADATA_HOST', 'GCE_METADATA_IP', 'GOOGLE_CLOUD_PROJECT'])
    vi.stubEnv(name, undefined);
  gcpMetadata.setGCPResidency(false);
});
afterEach(() => {
  vi.unstubAllEnvs();
  deadline.close();
  rmSync(home, { recursive: true, force: true });
});

/** Credentials from this file, over a transport that gives these answers. */
function credentialsOf(file: unknown, ...answers: (Answer | StorageError)[]): Credentials {
  if (file !== undefined) {
    const path = join(home, 'credentials.json');
    writeFileSync(path, typeof file === 'string' ? file : JSON.stringify(file));
    vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', path);
  }
  const send: Sender['send'] = async (request) => {
    sent.push(request);
    const answer = answers[sent.length - 1];
    if (answer === undefined) throw new Error(`nothing was expected to be sent to ${request.url.href}`);
    if (answer instanceof StorageError) throw answer;
    return {
      status: answer.status,
      headers: answer.headers ?? {},
      body: Readable.from([Buffer.from(answer.body ?? '')]),
    };
  };
  return new Credentials({ send });
}

function formOf(request: HttpRequest | undefined): URLSearchParams {
  return new URLSearchParams(request?.body instanceof Uint8Array ? Buffer.from(request.body).toString() : '');
}

describe('Application Default Credentials', () => {
  it('are a service account, whose token is fetched once', async () => {
    const credentials = credentialsOf(SERVICE_ACCOUNT, json(TOKEN));
    const all = await Promise.all([credentials.headers(deadline), credentials.headers(deadline)]);
    all.push(await credentials.headers(deadline));
    for (const headers of all) expect(headers).toEqual({ authorization: 'Bearer a-token' });
    expect(sent.map(({ method, url }) => `${method} ${url.href}`)).toEqual([
      'POST https://oauth2.googleapis.com/token',
    ]);
    const [, claims = ''] = formOf(sent[0]).get('assertion')?.split('.') ?? [];
    expect(JSON.parse(Buffer.from(claims, 'base64url').toString())).toMatchObject({
      iss: SERVICE_ACCOUNT.client_email,
      scope: 'https://www.googleapis.com/auth/devstorage.read_write',
    });
  });

  it("are a user's, with the project that pays for it", async () => {
    const credentials = credentialsOf(USER, json(TOKEN));
    expect(await credentials.headers(deadline)).toEqual({
      authorization: 'Bearer a-token',
      'x-goog-user-project': 'a-project',
    });
    expect(formOf(sent[0]).get('refresh_token')).toBe('a-refresh-token');
  });

  it('are an identity of somebody else, exchanged for a token', async () => {
    await using tokens = await startCanned([json(TOKEN)]);
    const subject = join(home, 'subject');
    writeFileSync(subject, 'a-subject-token');
    const credentials = credentialsOf({
      type: 'external_account',
      audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: `${tokens.endpoint}/v1/token`,
      credential_source: { file: subject },
    });
    expect(await credentials.headers(deadline)).toEqual({ authorization: 'Bearer a-token' });
    expect(tokens.requests[0]?.body.toString()).toContain('a-subject-token');
  });

  it('are those of the machine', async () => {
    await using server = await startCanned(({ path }) =>
      path.includes('token') ? { ...json(TOKEN), headers: METADATA } : { status: 200, headers: METADATA, body: '' },
    );
    vi.stubEnv('METADATA_SERVER_DETECTION', undefined);
    vi.stubEnv('GCE_METADATA_HOST', new URL(server.endpoint).host);
    expect(await credentialsOf(undefined).headers(deadline)).toEqual({ authorization: 'Bearer a-token' });
    expect(server.requests.map(({ path }) => path)).toContainEqual(
      expect.stringMatching(/^\/computeMetadata\/v1\/instance\/service-accounts\/default\/token/),
    );
  });

  it('are found without another program', async () => {
    const gcloud = join(home, 'gcloud');
    writeFileSync(gcloud, `#!/bin/sh\ntouch ${home}/ran\n`);
    chmodSync(gcloud, 0o755);
    vi.stubEnv('PATH', `${home}${delimiter}${process.env['PATH'] ?? ''}`);
    const { quota_project_id: _, ...user } = USER;
    await credentialsOf(user, json(TOKEN)).headers(deadline);
    expect(existsSync(join(home, 'ran'))).toBe(false);
  });
});

describe('credentials that give no token', () => {
  it.each([
    ['none at all', undefined, /^no usable credentials for Google Cloud Storage: Could not load/],
    ['a file that is no JSON', '{"private_key": "a-secret', /: their file is no JSON$/],
    ['a file without what it needs', { type: 'service_account' }, /does not contain a client_email field/],
    ['a key that is none', { ...SERVICE_ACCOUNT, private_key: 'a-secret' }, /^no usable credentials/],
  ])('are a wrong configuration: %s', async (_, file, message) => {
    const error: unknown = await credentialsOf(file)
      .headers(deadline)
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      kind: 'configuration',
      message: expect.stringMatching(message) as unknown,
      hint: expect.stringContaining('GOOGLE_APPLICATION_CREDENTIALS') as unknown,
    });
    expect(JSON.stringify(error)).not.toContain('a-secret');
    expect(error instanceof Error ? error.message : '').not.toContain('a-secret');
  });

  it('are a wrong configuration where their file is missing', async () => {
    vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', join(home, 'nowhere.json'));
    await expect(credentialsOf(undefined).headers(deadline)).rejects.toMatchObject({ kind: 'configuration' });
  });

  it.each([
    [400, { error: 'invalid_grant', error_description: 'Invalid JWT Signature.' }, 'denied', false],
    [401, { error: 'invalid_client' }, 'denied', false],
    [403, { error: { code: 403, status: 'PERMISSION_DENIED', message: 'x' } }, 'denied', false],
    [429, {}, 'throttled', true],
    [500, { error: 'internal_failure' }, 'unreachable', true],
    [503, 'a page', 'unreachable', true],
  ] as const)('are %i %j: asked for once', async (status, body, kind, retryable) => {
    const credentials = credentialsOf(SERVICE_ACCOUNT, json(body, status));
    const error: unknown = await credentials.headers(deadline).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ kind, retryable });
    expect(sent).toHaveLength(1);
  });

  it('show what the token service said', async () => {
    const said = json({ error: 'invalid_grant', error_description: 'Invalid JWT Signature.' }, 400);
    await expect(credentialsOf(SERVICE_ACCOUNT, said).headers(deadline)).rejects.toThrow(
      'fetching a token for Google Cloud Storage was answered with 400 (invalid_grant: Invalid JWT Signature.)',
    );
  });

  it("are the transport's error where there is no answer, and are asked for again", async () => {
    const failure = new StorageError('unreachable', 'no answer from oauth2.googleapis.com: ECONNREFUSED');
    const credentials = credentialsOf(SERVICE_ACCOUNT, failure, json(TOKEN));
    await expect(credentials.headers(deadline)).rejects.toBe(failure);
    expect(await credentials.headers(deadline)).toEqual({ authorization: 'Bearer a-token' });
  });

  it('are a machine without a service account', async () => {
    await using server = await startCanned(({ path }) =>
      path.includes('token') ? { status: 404, headers: METADATA } : { status: 200, headers: METADATA, body: '' },
    );
    vi.stubEnv('METADATA_SERVER_DETECTION', undefined);
    vi.stubEnv('GCE_METADATA_HOST', new URL(server.endpoint).host);
    await expect(credentialsOf(undefined).headers(deadline)).rejects.toMatchObject({
      kind: 'configuration',
      hint: expect.stringContaining('service account') as unknown,
    });
  });

  it.each(['the look for a metadata server', 'its token'])('hold nothing past its deadline: %s', async (what) => {
    await using server = await startCanned(({ path }) => {
      if (what === 'its token' && !path.includes('token')) return { status: 200, headers: METADATA, body: '' };
      return { status: 200, headers: { 'content-length': '100' }, body: '' };
    });
    vi.stubEnv('METADATA_SERVER_DETECTION', undefined);
    vi.stubEnv('GCE_METADATA_HOST', new URL(server.endpoint).host);
    const start = performance.now();
    deadline.shorten(300);
    await expect(credentialsOf(undefined).headers(deadline)).rejects.toMatchObject({
      kind: 'unreachable',
      retryable: false,
    });
    expect(performance.now() - start).toBeLessThan(2_300);
  });
});
