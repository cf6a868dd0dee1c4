import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Storage } from '../../src/storage/storage.ts';
import { Deadline } from '../../src/storage/deadline.ts';
import { StorageError, type StorageErrorKind } from '../../src/storage/errors.ts';
import type { ListedObject } from '../../src/storage/storage.ts';
import { startCanned, type Canned } from '../harness/net/canned.ts';
import { proxyPage } from '../harness/net/faults.ts';
import type { Answer, Headers } from '../harness/net/http-messages.ts';
import { openAlone, PREFIX } from './azure-place.ts';
import { collect, text } from './bodies.ts';

const SECRET = Buffer.from('the secret of the account').toString('base64');
const MD5_OF_HELLO = 'XUFAKrxLKna5cZ2REBfFkg==';
const WHOLE: Headers = {
  'x-ms-request-id': 'b5a345e9',
  etag: '"0x1"',
  'last-modified': 'Thu, 26 Nov 2026 09:58:14 GMT',
  'content-length': '5',
  'content-type': 'application/octet-stream',
};

let server: Canned;
let storage: Storage;
let deadline: Deadline;
let answers: Answer[];

beforeEach(async () => {
  answers = [];
  server = await startCanned(() => answers.shift() ?? { status: 500, body: 'no more answers' });
  const connection = `AccountName=acct;AccountKey=${SECRET};BlobEndpoint=${server.endpoint}/acct`;
  storage = await openAlone('cont', { AZURE_STORAGE_CONNECTION_STRING: connection });
  deadline = new Deadline(20_000, { what: 'the test' });
});
afterEach(async () => {
  deadline.close();
  storage.close();
  await server.close();
});

/** What the service says to what it does not do: in a header, and for all but a HEAD in XML. */
function refusal(status: number, code: string, headers: Headers = {}): Answer {
  const body = `<?xml version="1.0" encoding="utf-8"?>\n<Error><Code>${code}</Code><Message>Words.\nTime:2026</Message></Error>`;
  return {
    status,
    headers: { 'x-ms-error-code': code, 'x-ms-request-id': 'b5a345e9', 'content-type': 'application/xml', ...headers },
    body,
  };
}

const VERBS = {
  create: () => storage.create('1/wal/a', text('hello'), deadline),
  get: async () => collect((await storage.get('1/wal/a', deadline)).bytes),
  head: () => storage.head('1/wal/a', deadline),
  list: () => all('1/'),
  delete: () => storage.delete(['1/wal/a'], deadline),
};
type Verb = keyof typeof VERBS;

async function all(prefix: string): Promise<ListedObject[]> {
  const objects: ListedObject[] = [];
  for await (const page of storage.list(prefix, {}, deadline)) objects.push(...page);
  return objects;
}

/** How a verb ends when it is answered so. */
async function ending(verb: Verb, ...given: Answer[]): Promise<StorageError> {
  answers = [...given];
  const before = server.requests.length;
  const error = await VERBS[verb]().then(
    () => new Error(`${verb} succeeds`),
    (reason: unknown) => reason,
  );
  if (!(error instanceof StorageError)) throw new Error('no StorageError', { cause: error });
  expect(server.requests.length - before, 'requests').toBe(given.length);
  expect(error.message).not.toContain(SECRET);
  return error;
}

type Line = [verbs: readonly Verb[], status: number, code: string, kind: StorageErrorKind, retryable: boolean];
const READS = ['get', 'head'] as const;
const ALL = ['create', 'get', 'head', 'list', 'delete'] as const;

const TABLE: readonly Line[] = [
  [READS, 404, 'BlobNotFound', 'absent', false],
  [['create'], 409, 'BlobAlreadyExists', 'exists', false],
  [ALL, 404, 'ContainerNotFound', 'configuration', false],
  [ALL, 409, 'ContainerBeingDeleted', 'configuration', false],
  [ALL, 409, 'ContainerDisabled', 'configuration', false],
  [ALL, 404, 'ResourceNotFound', 'configuration', false],
  [ALL, 403, 'AuthenticationFailed', 'denied', false],
  [ALL, 401, 'InvalidAuthenticationInfo', 'denied', false],
  [ALL, 401, 'NoAuthenticationInformation', 'denied', false],
  [ALL, 403, 'KeyBasedAuthenticationNotPermitted', 'denied', false],
  [ALL, 403, 'AuthorizationFailure', 'denied', false],
  [ALL, 403, 'AuthorizationPermissionMismatch', 'denied', false],
  [ALL, 403, 'AuthorizationResourceTypeMismatch', 'denied', false],
  [ALL, 403, 'AuthorizationServiceMismatch', 'denied', false],
  [ALL, 403, 'AuthorizationProtocolMismatch', 'denied', false],
  [ALL, 403, 'AuthorizationSourceIPMismatch', 'denied', false],
  [ALL, 403, 'InsufficientAccountPermissions', 'denied', false],
  [ALL, 403, 'AccountIsDisabled', 'denied', false],
  [ALL, 409, 'PublicAccessNotPermitted', 'denied', false],
  [['create', 'get'], 403, 'KeyVaultEncryptionKeyNotFound', 'denied', false],
  [['create', 'get'], 403, 'KeyVaultAccessTokenCannotBeAcquired', 'denied', false],
  [['create', 'get'], 403, 'KeyVaultVaultNotFound', 'denied', false],
  [['delete'], 403, 'UnauthorizedBlobOverwrite', 'denied', false],
  [['delete'], 409, 'BlobImmutableDueToPolicy', 'denied', false],
  [['delete'], 409, 'BlobImmutableDueToLegalHold', 'denied', false],
  [['delete'], 412, 'LeaseIdMissing', 'denied', false],
  [['get'], 409, 'BlobArchived', 'unreachable', false],
  [['get'], 409, 'BlobBeingRehydrated', 'unreachable', false],
  [['create', 'get'], 409, 'InvalidBlobType', 'corrupt', false],
  [READS, 409, 'BlobUsesCustomerSpecifiedEncryption', 'configuration', false],
  [ALL, 503, 'ServerBusy', 'throttled', true],
  [ALL, 500, 'InternalError', 'unreachable', true],
  [ALL, 500, 'OperationTimedOut', 'unreachable', true],
  [ALL, 409, 'AccountBeingCreated', 'unreachable', true],
  [['create'], 400, 'Md5Mismatch', 'unreachable', true],
  [['create'], 400, 'Crc64Mismatch', 'unreachable', true],
  [ALL, 400, 'InvalidResourceName', 'configuration', false],
  [ALL, 400, 'InvalidUri', 'configuration', false],
  [ALL, 400, 'OutOfRangeInput', 'configuration', false],
  [ALL, 400, 'InvalidHeaderValue', 'configuration', false],
  [['create'], 413, 'RequestBodyTooLarge', 'configuration', false],
  [['create'], 409, 'BlobTierInadequateForContentLength', 'configuration', false],
  [['create'], 412, 'ConditionNotMet', 'unreachable', false],
  [ALL, 400, 'SomethingNew', 'unreachable', false],
  [ALL, 404, 'SomethingNew', 'unreachable', false],
  [ALL, 409, 'SomethingNew', 'unreachable', false],
  [ALL, 500, 'SomethingNew', 'unreachable', true],
  [ALL, 507, 'SomethingNew', 'full', false],
];

describe('the codes of Azure', () => {
  it.each(TABLE)('%j: %i %s is %s', async (verbs, status, code, kind, retryable) => {
    for (const verb of verbs) {
      const isAskedAgain = verb === 'create' && /^Authorization(Failure|PermissionMismatch)$/.test(code);
      const error = await ending(verb, ...Array<Answer>(isAskedAgain ? 2 : 1).fill(refusal(status, code)));
      expect(error, verb).toMatchObject({ kind, retryable });
      expect(error.message, verb).toContain(`${status} ${code} (request b5a345e9)`);
    }
  });

  it.each([
    [403, 'UnauthorizedBlobOverwrite'],
    [403, 'AuthorizationPermissionMismatch'],
    [403, 'AuthorizationFailure'],
    [409, 'BlobImmutableDueToPolicy'],
    [409, 'BlobImmutableDueToLegalHold'],
    [412, 'LeaseIdMissing'],
  ])('a create that ends with %i %s asks whether the key is taken', async (status, code) => {
    const there = { status: 200, headers: WHOLE };
    expect(await ending('create', refusal(status, code), there)).toMatchObject({ kind: 'exists', retryable: false });
    for (const other of [refusal(404, 'BlobNotFound'), refusal(403, 'AuthenticationFailed'), proxyPage(502)]) {
      const error = await ending('create', refusal(status, code), other);
      expect(error).toMatchObject({ kind: 'denied', retryable: false });
      expect(error.message).toContain(code);
    }
  });

  it('count before the status, and in the body where a header was lost', async () => {
    expect(await ending('get', refusal(500, 'BlobNotFound'))).toMatchObject({ kind: 'absent' });
    const { status, body = '' } = refusal(404, 'BlobNotFound');
    expect(await ending('get', { status, body, headers: { 'content-type': 'application/xml' } })).toMatchObject({
      kind: 'absent',
    });
  });

  it('count a deleted blob as deleted, and a deleted container not', async () => {
    answers = [refusal(404, 'BlobNotFound')];
    await storage.delete(['1/wal/a'], deadline);
  });

  it.each([
    ['7', 7_000],
    [new Date(Date.now() + 60_000).toUTCString(), 60_000],
    ['soon', undefined],
  ])('wait as long as the service says: %s', async (value, ms) => {
    const error = await ending('get', refusal(503, 'ServerBusy', { 'retry-after': value }));
    if (ms === undefined) expect(error.retryAfterMs).toBeUndefined();
    else expect(Math.abs((error.retryAfterMs ?? 0) - ms)).toBeLessThan(5_000);
  });
});

describe('answers that are none of Azure', () => {
  it.each([
    [404, 'unreachable', false],
    [400, 'unreachable', false],
    [403, 'denied', false],
    [429, 'throttled', true],
    [502, 'unreachable', true],
    [503, 'throttled', true],
    [504, 'unreachable', true],
  ] as const)('a page of a proxy with %i is %s', async (status, kind, retryable) => {
    for (const verb of ALL) expect(await ending(verb, proxyPage(status)), verb).toMatchObject({ kind, retryable });
  });

  it.each(ALL)('no bare 404 says anything about an object: %s', async (verb) => {
    expect(await ending(verb, { status: 404 })).toMatchObject({ kind: 'unreachable' });
    const empty = { 'x-ms-request-id': 'b5a345e9' };
    expect(await ending(verb, { status: 404, headers: empty })).toMatchObject({ kind: 'unreachable' });
  });

  it.each(ALL)('a sign-in page is no success: %s', async (verb) => {
    for (const status of [200, 201, 202, 204, 206]) {
      expect(await ending(verb, { ...proxyPage(200), status })).toMatchObject({ kind: 'unreachable' });
    }
  });

  it.each(ALL)('redirections are not followed: %s', async (verb) => {
    for (const status of [301, 302, 303, 307, 308]) {
      const headers = { location: `${server.endpoint}/elsewhere` };
      const error = await ending(verb, { status, headers });
      expect(error).toMatchObject({ kind: 'unreachable', retryable: false });
      expect(error.message).toContain(new URL(server.endpoint).host);
    }
  });

  it('a challenge is not answered', async () => {
    const headers = { 'www-authenticate': 'Bearer authorization_uri=https://login.example/x resource_id=https://y' };
    expect(await ending('get', refusal(401, 'InvalidAuthenticationInfo', headers))).toMatchObject({ kind: 'denied' });
  });

  it.each(['etag', 'last-modified', 'x-ms-request-id'])('a body without %s is not read', async (name) => {
    const headers = Object.fromEntries(Object.entries(WHOLE).filter(([other]) => other !== name));
    expect(await ending('get', { status: 200, headers, body: 'hello' })).toMatchObject({ kind: 'unreachable' });
  });
});

describe('what is read', () => {
  it('has size, time and no digest that the service did not compute', async () => {
    const withMd5 = { ...WHOLE, 'content-md5': MD5_OF_HELLO };
    answers = [{ status: 200, headers: withMd5 }];
    expect(await storage.head('1/wal/a', deadline)).toEqual({ size: 5, modified: new Date('2026-11-26T09:58:14Z') });
    answers = [{ status: 200, headers: withMd5, body: 'hello' }];
    const { info, bytes } = await storage.get('1/wal/a', deadline);
    expect((await collect(bytes)).toString()).toBe('hello');
    expect(info).toEqual({ size: 5, modified: new Date('2026-11-26T09:58:14Z') });
  });

  it('has the digest of what we made, while it is just that', async () => {
    const md5 = { 'content-md5': MD5_OF_HELLO };
    answers = [{ status: 201, headers: { ...WHOLE, 'content-length': '0' } }];
    await VERBS.create();
    answers = [{ status: 200, headers: { ...WHOLE, ...md5 } }];
    const value = Buffer.from(MD5_OF_HELLO, 'base64');
    expect(await storage.head('1/wal/a', deadline)).toMatchObject({ digest: { algorithm: 'md5', value } });
    for (const headers of [{ ...WHOLE, ...md5, etag: '"0x2"' }, WHOLE, { ...WHOLE, 'content-md5': 'short' }]) {
      answers = [{ status: 200, headers }];
      expect(await storage.head('1/wal/a', deadline)).not.toHaveProperty('digest');
    }
  });

  it('is not decoded', async () => {
    answers = [{ status: 200, headers: { ...WHOLE, 'content-encoding': 'gzip' }, body: 'hello' }];
    expect((await VERBS.get()).toString()).toBe('hello');
    expect(server.requests.at(-1)?.headers).not.toHaveProperty('accept-encoding');
  });
});

describe('a listing', () => {
  const headers = { 'x-ms-request-id': 'b5a345e9', 'content-type': 'application/xml' };
  const blob = (key: string, properties = '<Content-Length>5</Content-Length>'): string =>
    `<Blob><Name>${PREFIX.replaceAll('&', '&amp;')}/${key}</Name><Properties><Last-Modified>Thu, 26 Nov 2026 09:58:14 GMT</Last-Modified>${properties}</Properties></Blob>`;
  const listing = (blobs: string, end = '<NextMarker/></EnumerationResults>'): Answer => {
    const body = `<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>${blobs}</Blobs>${end}`;
    return { status: 200, headers, body };
  };

  it('is read to its end, page by page', async () => {
    answers = [listing(blob('1/a'), '<NextMarker>2!go on</NextMarker></EnumerationResults>'), listing(blob('1/b'))];
    expect((await all('1/')).map(({ key }) => key)).toEqual(['1/a', '1/b']);
    const [first, second] = server.requests.map(({ path }) => new URL(path, server.endpoint).searchParams);
    expect(first?.get('marker')).toBeNull();
    expect(first?.get('maxresults')).toBe('5000');
    expect(second?.get('marker')).toBe('2!go on');
  });

  it.each([
    ['is cut off before it says how it goes on', listing(blob('1/a'), '')],
    ['does not say how it goes on', listing(blob('1/a'), '</EnumerationResults>')],
    ['is empty in every way', { status: 200, headers, body: '' }],
    ['is something else', { status: 200, headers, body: '<html><body>hello</body></html>' }],
    ['is no XML', { status: 200, headers, body: 'hello' }],
    ['is JSON', { status: 200, headers: { ...headers, 'content-type': 'application/json' }, body: '{}' }],
  ])('that %s is an error', async (_, answer) => {
    expect(await ending('list', answer)).toMatchObject({ kind: 'unreachable' });
  });

  it('leaves out the directories of a hierarchical namespace', async () => {
    const size = '<Content-Length>0</Content-Length>';
    const directory = `${size}<ResourceType>directory</ResourceType>`;
    answers = [
      listing(blob('1', directory) + blob('1/a', `${size}<ResourceType>file</ResourceType>`) + blob('1b', directory)),
    ];
    expect((await all('1')).map(({ key }) => key)).toEqual(['1/a']);
  });

  it('that leads in a circle is an error', async () => {
    const page = listing(blob('1/a'), '<NextMarker>same</NextMarker></EnumerationResults>');
    expect(await ending('list', page, page)).toMatchObject({ kind: 'unreachable' });
  });

  it.each([
    ['of somewhere else', `<Blob><Name>other/1/a</Name><Properties/></Blob>`],
    ['without a size', blob('1/a', '')],
  ])('with an object %s is corrupt', async (_, blobs) => {
    expect(await ending('list', listing(blobs))).toMatchObject({ kind: 'corrupt' });
  });
});

it('what the service is asked: its version, one condition, one digest', async () => {
  answers = [{ status: 201, headers: { ...WHOLE, 'content-length': '0' } }];
  await VERBS.create();
  const [request] = server.requests;
  expect(request?.method).toBe('PUT');
  expect(request?.path).toBe('/acct/cont/pre%20fix/%C3%BC%2B%26%27()~/1/wal/a');
  expect(request?.headers).toMatchObject({
    'x-ms-version': '2026-02-06',
    'x-ms-blob-type': 'BlockBlob',
    'if-none-match': '*',
    'content-md5': MD5_OF_HELLO,
    'content-length': '5',
  });
  expect(request?.headers).not.toHaveProperty('x-ms-blob-content-md5');
  expect(request?.headers).not.toHaveProperty('x-ms-access-tier');
});
