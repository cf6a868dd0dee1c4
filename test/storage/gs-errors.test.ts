import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Deadline } from '../../src/storage/deadline.ts';
import type { StorageErrorKind } from '../../src/storage/errors.ts';
import { openGs } from '../../src/storage/gs/storage.ts';
import type { ListedObject, Storage } from '../../src/storage/storage.ts';
import { startCanned, type Canned } from '../harness/net/canned.ts';
import { proxyPage } from '../harness/net/faults.ts';
import type { Answer } from '../harness/net/http-messages.ts';
import { text } from './bodies.ts';
import {
  DENIED_LISTING,
  download,
  EMPTY_PAGE,
  json,
  mediaRefusal,
  NO_BUCKET,
  NO_OBJECT,
  page,
  refusal,
  resource,
} from './gs-answers.ts';

const KEY = 'key';
const NAME = `prefix/${KEY}`;

let canned: Canned;
let storage: Storage;
let deadline: Deadline;

beforeEach(() => {
  deadline = new Deadline(10_000);
});
afterEach(async () => {
  deadline.close();
  storage.close();
  await canned.close();
});

/** A storage, without retries, of a service that answers just so. */
async function answering(...answers: Answer[]): Promise<Storage> {
  canned = await startCanned(answers);
  storage = await openGs({ url: 'gs://bucket/prefix', endpoint: canned.endpoint }, {});
  return storage;
}

async function listed(prefix = ''): Promise<ListedObject[]> {
  const objects: ListedObject[] = [];
  for await (const found of storage.list(prefix, {}, deadline)) objects.push(...found);
  return objects;
}

type Verb = 'create' | 'get' | 'head' | 'list' | 'delete';

const VERBS: Readonly<Record<Verb, () => Promise<unknown>>> = {
  create: () => storage.create(KEY, text('12345'), deadline),
  get: () => storage.get(KEY, deadline),
  head: () => storage.head(KEY, deadline),
  list: () => listed(),
  delete: () => storage.delete([KEY], deadline),
};
const ALL_VERBS = Object.keys(VERBS) as Verb[];

describe('an answer of Cloud Storage', () => {
  const CASES: readonly [number, string, StorageErrorKind, boolean][] = [
    [400, 'invalidArgument', 'configuration', false],
    [400, 'invalidParameter', 'configuration', false],
    [400, 'cloudKmsBadKey', 'configuration', false],
    [400, 'cloudKmsEncryptionKeyNotFound', 'configuration', false],
    [400, 'cloudKmsKeyLocationNotAllowed', 'configuration', false],
    [400, 'cloudKmsDisabledKey', 'denied', false],
    [400, 'cloudKmsDecryptionKeyNotFound', 'denied', false],
    [400, 'resourceIsEncryptedWithCustomerEncryptionKey', 'denied', false],
    [400, 'userProjectMissing', 'configuration', false],
    [400, 'required', 'unreachable', false],
    [401, 'authError', 'denied', false],
    [401, 'required', 'denied', false],
    [403, 'forbidden', 'denied', false],
    [403, 'insufficientPermissions', 'denied', false],
    [403, 'accountDisabled', 'denied', false],
    [403, 'UserProjectAccountProblem', 'denied', false],
    [403, 'UserProjectAccessDenied', 'configuration', false],
    [403, 'sslRequired', 'configuration', false],
    [403, 'rateLimitExceeded', 'throttled', true],
    [403, 'userRateLimitExceeded', 'throttled', true],
    [403, 'quotaExceeded', 'throttled', true],
    [403, 'somethingNew', 'denied', false],
    [408, 'uploadBrokenConnection', 'unreachable', true],
    [409, 'conflict', 'unreachable', true],
    [410, 'gone', 'unreachable', false],
    [412, 'orgPolicyConstraintFailed', 'denied', false],
    [412, 'somethingNew', 'unreachable', false],
    [413, 'uploadTooLarge', 'unreachable', false],
    [418, 'somethingNew', 'unreachable', false],
    [429, 'rateLimitExceeded', 'throttled', true],
    [500, 'backendError', 'unreachable', true],
    [500, 'internalError', 'unreachable', true],
    [502, 'somethingNew', 'unreachable', true],
    [503, 'backendError', 'throttled', true],
    [504, 'gatewayTimeout', 'unreachable', true],
  ];

  it.each(CASES)('%i %s is %s, whatever was asked', async (status, reason, kind, retryable) => {
    for (const verb of ALL_VERBS) {
      await answering(refusal(status, reason));
      await expect(VERBS[verb](), verb).rejects.toMatchObject({
        kind,
        retryable,
        message: expect.stringContaining(`${status} (${reason}: a message for people)`) as unknown,
      });
      expect(canned.requests).toHaveLength(1);
      storage.close();
      await canned.close();
    }
  });

  it.each([
    [412, 'conditionNotMet'],
    [403, 'retentionPolicyNotMet'],
    [403, 'objectUnderActiveHold'],
  ])('%i %s to a create says that the key is taken', async (status, reason) => {
    await answering(refusal(status, reason));
    await expect(VERBS.create()).rejects.toMatchObject({ kind: 'exists', retryable: false });
    expect(canned.requests).toHaveLength(1);
  });

  it.each(['retentionPolicyNotMet', 'objectUnderActiveHold'])('403 %s to a delete is denied', async (reason) => {
    await answering(refusal(403, reason));
    await expect(VERBS.delete()).rejects.toMatchObject({
      kind: 'denied',
      hint: expect.stringMatching(/retention/) as unknown,
    });
  });

  it('400 invalid to a create is a digest that did not fit: worth another attempt', async () => {
    await answering(refusal(400, 'invalid', 'Provided MD5 hash "a" doesn\'t match calculated MD5 hash "b".'));
    await expect(VERBS.create()).rejects.toMatchObject({ kind: 'unreachable', retryable: true });
  });

  it.each([
    ['7', 7_000],
    ['0', 0],
    [new Date(Date.now() - 5_000).toUTCString(), 0],
    ['soon', undefined],
  ])('passes on that it asks to wait: %s', async (value, retryAfterMs) => {
    const answer = refusal(429, 'rateLimitExceeded');
    await answering({ ...answer, headers: { ...answer.headers, 'retry-after': value } });
    await expect(VERBS.head()).rejects.toMatchObject({ kind: 'throttled', retryAfterMs });
  });

  it.each([
    [401, 'denied', false],
    [403, 'denied', false],
    [429, 'throttled', true],
    [400, 'unreachable', false],
    [500, 'unreachable', true],
    [503, 'throttled', true],
  ])('%i to a download, which has no reason, is %s', async (status, kind, retryable) => {
    await answering(mediaRefusal(status, 'Access denied.'));
    await expect(VERBS.get()).rejects.toMatchObject({
      kind,
      retryable,
      message: expect.stringContaining(`${status} (Access denied.)`) as unknown,
    });
    expect(canned.requests).toHaveLength(1);
  });
});

describe('what is not there', () => {
  it('is absent to a get once the bucket is listed without it', async () => {
    await answering(NO_OBJECT, EMPTY_PAGE);
    await expect(VERBS.get()).rejects.toMatchObject({ kind: 'absent', retryable: false });
    const [, look] = canned.requests;
    const query = new URL(look?.path ?? '', canned.endpoint).searchParams;
    expect([query.get('prefix'), query.get('maxResults')]).toEqual([NAME, '1']);
    expect(canned.requests).toHaveLength(2);
  });

  it.each([['prefix/key2'], ['prefix/key/below']])('is absent where only %s is listed', async (other) => {
    await answering(NO_OBJECT, page([other]));
    await expect(VERBS.get()).rejects.toMatchObject({ kind: 'absent' });
  });

  it('is absent to a head', async () => {
    await answering(refusal(404, 'notFound'), EMPTY_PAGE);
    await expect(VERBS.head()).rejects.toMatchObject({ kind: 'absent' });
  });

  it('is asked for again where it is listed', async () => {
    await answering(NO_OBJECT, page([NAME]));
    await expect(VERBS.get()).rejects.toMatchObject({ kind: 'unreachable', retryable: true });
  });

  it.each([
    ['a missing bucket', NO_BUCKET, 'configuration', false],
    ['no permission to list', DENIED_LISTING, 'denied', false],
    ['no answer in time', refusal(504, 'gatewayTimeout'), 'unreachable', true],
    ['a page of a proxy', proxyPage(404), 'unreachable', true],
    ['a login page', proxyPage(200), 'unreachable', true],
  ] as const)('is not absent behind %s', async (_, answer, kind, retryable) => {
    for (const verb of ['get', 'head'] as const) {
      await answering(verb === 'get' ? NO_OBJECT : refusal(404, 'notFound'), answer);
      await expect(VERBS[verb]()).rejects.toMatchObject({ kind, retryable });
      storage.close();
      await canned.close();
    }
  });

  it('counts as deleted once the bucket is known', async () => {
    await answering(refusal(404, 'notFound'), page(['prefix/other']));
    await expect(VERBS.delete()).resolves.toBeUndefined();
  });

  it.each([
    ['a missing bucket', NO_BUCKET, 'configuration'],
    ['no permission to list', DENIED_LISTING, 'denied'],
  ] as const)('is not deleted behind %s', async (_, answer, kind) => {
    await answering(refusal(404, 'notFound'), answer);
    await expect(VERBS.delete()).rejects.toMatchObject({ kind });
  });

  it.each(['create', 'list'] as const)('is the bucket where a %s is answered with 404', async (verb) => {
    await answering(NO_BUCKET);
    await expect(VERBS[verb]()).rejects.toMatchObject({ kind: 'configuration', retryable: false });
  });
});

describe('an answer that is not Cloud Storage’s', () => {
  it.each(ALL_VERBS)('is unreachable, and never a reason to think so to a %s: 404', async (verb) => {
    await answering(proxyPage(404), proxyPage(404));
    await expect(VERBS[verb]()).rejects.toMatchObject({ kind: 'unreachable', retryable: true });
  });

  it.each(['create', 'get', 'head', 'list'] as const)('is unreachable to a %s: 200', async (verb) => {
    await answering(proxyPage(200));
    await expect(VERBS[verb]()).rejects.toMatchObject({ kind: 'unreachable', retryable: true });
  });

  it.each(ALL_VERBS)('is unreachable to a %s: a redirect', async (verb) => {
    await answering({ ...proxyPage(302), headers: { location: 'http://login.example/' } });
    await expect(VERBS[verb]()).rejects.toMatchObject({ kind: 'unreachable', retryable: false });
    expect(canned.requests).toHaveLength(1);
  });

  it.each([
    ['no JSON', { status: 200, body: '{"kind":"storage#obj' }],
    ['another object', json(resource({ name: 'prefix/other' }))],
    ['no size', json(resource({ name: NAME, size: 'big' }))],
    ['no time', json(resource({ name: NAME, timeCreated: 'then' }))],
    ['null', { status: 200, body: 'null' }],
  ])('is refused by head: %s', async (_, answer) => {
    await answering(answer);
    await expect(VERBS.head()).rejects.toMatchObject({ kind: 'unreachable', retryable: true });
  });

  it.each([
    ['items that are none', json({ kind: 'storage#objects', items: [{ name: 1 }] })],
    ['no list', json({ kind: 'storage#objects', items: {} })],
    ['another kind', json({ items: [] })],
    ['a token that is none', json({ kind: 'storage#objects', nextPageToken: 1 })],
  ])('is refused by list: %s', async (_, answer) => {
    await answering(answer);
    await expect(VERBS.list()).rejects.toMatchObject({ kind: 'unreachable' });
  });
});

describe('what is told of an object', () => {
  const MD5 = 'XUFAKrxLKna5cZ2REBfFkg==';

  it.each([
    ['MD5', { md5Hash: MD5, crc32c: 'mnG7TA==' }, { algorithm: 'md5', value: Buffer.from(MD5, 'base64') }],
    ['CRC-32C', { crc32c: 'mnG7TA==' }, { algorithm: 'crc32c', value: Buffer.from('mnG7TA==', 'base64') }],
    ['nothing', {}, undefined],
    ['nothing', { md5Hash: 'short', crc32c: '' }, undefined],
  ])('is %s of what the service holds, as it says', async (_, fields, digest) => {
    await answering(json(resource({ name: NAME, ...fields })));
    expect((await storage.head(KEY, deadline)).digest).toEqual(digest);
  });

  it('is the same from a download as from its metadata', async () => {
    const timeCreated = '2026-04-28T09:47:27.609Z';
    const about = resource({ name: NAME, timeCreated, md5Hash: MD5, crc32c: 'mnG7TA==' });
    await answering(download('hello'), json(about));
    const { info } = await storage.get(KEY, deadline);
    expect(info).toEqual(await storage.head(KEY, deadline));
  });

  it('is the time that its generation holds where a download says none', async () => {
    const answer = download('hello');
    const { 'last-modified': _, 'x-goog-stored-content-length': __, ...headers } = answer.headers ?? {};
    await answering({ ...answer, headers });
    const { info } = await storage.get(KEY, deadline);
    expect(info).toMatchObject({ size: 5, modified: new Date('2026-04-28T09:47:27Z') });
  });

  it.each(['4', '6'])('contradicts itself where %s bytes are stored and 5 are given', async (length) => {
    await answering(download('hello', { 'x-goog-stored-content-length': length }));
    const { bytes } = await storage.get(KEY, deadline);
    const readAll = async (): Promise<void> => {
      for await (const piece of bytes) expect(piece.length).toBeGreaterThan(0);
    };
    await expect(readAll()).rejects.toMatchObject({ kind: 'corrupt' });
  });
});

describe('a listing', () => {
  it('goes on behind an empty page, and leaves out the marker of a directory', async () => {
    await answering(page(['prefix/']), page([], 'a'), page([], 'b'), page(['prefix/1/wal/a']));
    expect(await listed()).toEqual([]);
    expect((await listed()).map(({ key }) => key)).toEqual(['1/wal/a']);
    const tokens = canned.requests.map(({ path }) => new URL(path, canned.endpoint).searchParams.get('pageToken'));
    expect(tokens).toEqual([null, null, 'a', 'b']);
  });

  it('ends with an error where the next page is the same again', async () => {
    await answering(page(['prefix/a'], 'a'), page(['prefix/a'], 'a'));
    await expect(listed()).rejects.toMatchObject({ kind: 'unreachable' });
  });

  it('is not an end where a later page fails', async () => {
    await answering(page(['prefix/a'], 'a'), refusal(403, 'forbidden'));
    await expect(listed()).rejects.toMatchObject({ kind: 'denied' });
  });

  it('goes on where a later page fails for a passing reason', async () => {
    await answering(page(['prefix/a'], 'a'), refusal(500, 'backendError'), page(['prefix/b']));
    expect((await listed()).map(({ key }) => key)).toEqual(['a', 'b']);
  });
});
