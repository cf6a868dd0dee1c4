import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connect } from '../../src/storage/connect.ts';
import { Deadline } from '../../src/storage/deadline.ts';
import type { StorageErrorKind } from '../../src/storage/errors.ts';
import { openS3 } from '../../src/storage/s3/storage.ts';
import { startCanned, type Answers, type Canned } from '../harness/net/canned.ts';
import { proxyPage } from '../harness/net/faults.ts';
import type { Answer } from '../harness/net/http-messages.ts';
import { text } from './bodies.ts';
import { listed, listing, object, s3Error } from './s3-answers.ts';
import { enter, ODD_PREFIX, s3Archive } from './s3-place.ts';
import type { Storage } from '../../src/storage/storage.ts';

interface Outcome {
  readonly kind: StorageErrorKind;
  readonly retryable?: boolean;
  readonly retryAfterMs?: number;
  readonly message?: RegExp;
  readonly hint?: RegExp;
}

const passing: Outcome = { kind: 'unreachable', retryable: true };
const region = (name: string): string => `<Region>${name}</Region>`;

/** Whatever verb meets them. */
const ALWAYS: readonly (readonly [string, Answer, Outcome])[] = [
  ['AccessDenied', s3Error(403, 'AccessDenied'), { kind: 'denied', retryable: false, hint: /ListBucket/ }],
  ['AllAccessDisabled', s3Error(403, 'AllAccessDisabled'), { kind: 'denied' }],
  ['AccountProblem', s3Error(403, 'AccountProblem'), { kind: 'denied', hint: /owner/ }],
  ['InvalidAccessKeyId', s3Error(403, 'InvalidAccessKeyId'), { kind: 'denied', hint: /credentials/ }],
  ['SignatureDoesNotMatch', s3Error(403, 'SignatureDoesNotMatch'), { kind: 'denied', retryable: false }],
  ['InvalidToken', s3Error(400, 'InvalidToken'), { kind: 'denied' }],
  ['ExpiredToken', s3Error(400, 'ExpiredToken'), { kind: 'denied', hint: /session/ }],
  ['RequestTimeTooSkewed', s3Error(403, 'RequestTimeTooSkewed'), { kind: 'denied', retryable: true, hint: /clock/ }],
  ['a 403 of something else', proxyPage(403), { kind: 'denied', hint: /between/ }],

  ['NoSuchBucket', s3Error(404, 'NoSuchBucket'), { kind: 'configuration', retryable: false, hint: /bucket/ }],
  [
    'PermanentRedirect',
    s3Error(301, 'PermanentRedirect', { headers: { 'x-amz-bucket-region': 'eu-west-1' } }),
    { kind: 'configuration', message: /eu-west-1/, hint: /region/ },
  ],
  [
    'AuthorizationHeaderMalformed',
    s3Error(400, 'AuthorizationHeaderMalformed', { fields: region('ap-south-1') }),
    { kind: 'configuration', message: /the bucket is in region ap-south-1/ },
  ],
  [
    'IllegalLocationConstraintException',
    s3Error(400, 'IllegalLocationConstraintException'),
    { kind: 'configuration', hint: /region/ },
  ],
  [
    'a redirect to elsewhere',
    { status: 302, headers: { location: 'https://login.invalid/' } },
    { kind: 'configuration' },
  ],
  ['TemporaryRedirect', s3Error(307, 'TemporaryRedirect'), passing],

  [
    'SlowDown',
    s3Error(503, 'SlowDown', { headers: { 'retry-after': '7' } }),
    { kind: 'throttled', retryAfterMs: 7_000 },
  ],
  ['ServiceUnavailable', s3Error(503, 'ServiceUnavailable'), { kind: 'throttled', retryable: true }],
  ['503 of something else', proxyPage(503), { kind: 'throttled' }],
  ['429', { status: 429, headers: { 'retry-after': '2' } }, { kind: 'throttled', retryAfterMs: 2_000 }],
  ['InternalError', s3Error(500, 'InternalError'), passing],
  ['502 of a load balancer', proxyPage(502), passing],
  ['RequestTimeout', s3Error(400, 'RequestTimeout'), passing],
  ['OperationAborted', s3Error(409, 'OperationAborted'), passing],

  ['KMS.DisabledException', s3Error(400, 'KMS.DisabledException'), { kind: 'configuration', hint: /kms_key/ }],
  ['KMS.ThrottlingException', s3Error(400, 'KMS.ThrottlingException'), { kind: 'throttled' }],
  ['NotImplemented', s3Error(501, 'NotImplemented'), { kind: 'configuration', hint: /conditional PUT/ }],
  ['501 without a code', { status: 501 }, { kind: 'configuration' }],

  [
    'an unknown code',
    s3Error(400, 'SomethingNew'),
    { kind: 'unreachable', retryable: false, message: /SomethingNew \(400\)/ },
  ],
  ['an unknown code of a failure there', s3Error(500, 'SomethingNew'), passing],
  ['garbage for XML', { status: 400, body: '<Error><Code>NoSuchKey</Co' }, { kind: 'unreachable', retryable: false }],
  ['a 404 page of something else', proxyPage(404), { kind: 'unreachable', hint: /proxy/ }],
  ['a 404 without a body', { status: 404 }, { kind: 'unreachable' }],
  ['a 404 of another API', { status: 404, body: '<x><Code>NotHere</Code></x>' }, { kind: 'unreachable' }],
];

/** What only some verbs meet. */
const SOMETIMES: readonly (readonly [string, 'create' | 'get' | 'list' | 'delete', Answer, Outcome])[] = [
  ['PreconditionFailed', 'create', s3Error(412, 'PreconditionFailed'), { kind: 'exists', retryable: false }],
  ['412 without a code', 'create', { status: 412 }, { kind: 'exists' }],
  ['ConditionalRequestConflict', 'create', s3Error(409, 'ConditionalRequestConflict'), passing],
  ['BadDigest', 'create', s3Error(400, 'BadDigest'), passing],
  ['XAmzContentSHA256Mismatch', 'create', s3Error(400, 'XAmzContentSHA256Mismatch'), passing],
  ['IncompleteBody', 'create', s3Error(400, 'IncompleteBody'), passing],
  ['XMinioStorageFull', 'create', s3Error(507, 'XMinioStorageFull'), { kind: 'full', retryable: false }],
  ['507', 'create', { status: 507 }, { kind: 'full' }],
  ['413 of a proxy', 'create', proxyPage(413), { kind: 'configuration', retryable: false, hint: /proxy/ }],
  ['QuotaExceeded', 'create', s3Error(403, 'QuotaExceeded'), { kind: 'full' }],
  ['EntityTooLarge', 'create', s3Error(400, 'EntityTooLarge'), { kind: 'full' }],
  ['InvalidStorageClass', 'create', s3Error(400, 'InvalidStorageClass'), { kind: 'configuration' }],
  ['an error behind a 200', 'create', { ...s3Error(200, 'InternalError') }, passing],
  ['a slow-down behind a 200', 'create', { ...s3Error(200, 'SlowDown') }, { kind: 'throttled' }],

  ['NoSuchKey', 'get', s3Error(404, 'NoSuchKey'), { kind: 'absent', retryable: false }],
  [
    'a delete marker',
    'get',
    s3Error(404, 'NoSuchKey', { headers: { 'x-amz-delete-marker': 'true' } }),
    { kind: 'corrupt', message: /was deleted/, hint: /delete marker/ },
  ],
  [
    'InvalidObjectState',
    'get',
    s3Error(403, 'InvalidObjectState'),
    { kind: 'unreachable', retryable: false, hint: /restore/ },
  ],
  ['a page of a proxy that says 200', 'get', proxyPage(200), { kind: 'unreachable', hint: /proxy/ }],

  ['a page of a proxy that says 200', 'list', proxyPage(200), { kind: 'unreachable' }],
  ['garbage behind a 200', 'list', { status: 200, body: '<ListBucketResult><Na' }, { kind: 'unreachable' }],
  ['an empty answer', 'list', { status: 200 }, { kind: 'unreachable' }],
  ['an error behind a 200', 'list', { ...s3Error(200, 'InternalError') }, passing],
  ['no token for what follows', 'list', listing('<IsTruncated>true</IsTruncated>'), { kind: 'corrupt' }],
  [
    'an object without its size',
    'list',
    listing('<IsTruncated>false</IsTruncated><Contents><Key>a</Key></Contents>'),
    { kind: 'corrupt' },
  ],

  ['a page of a proxy that says 200', 'delete', proxyPage(200), { kind: 'unreachable' }],
  ['an empty answer', 'delete', { status: 200 }, { kind: 'unreachable', message: /confirm/ }],
];

const archiveOf = ({ endpoint }: Canned): Parameters<typeof openS3>[0] =>
  s3Archive({ endpoint, region: 'eu-central-1' }, 'bucket', { conditionalCreate: 'proven' });

describe('what S3 answers instead of doing what it was asked', () => {
  let deadline: Deadline;
  let storage: Storage | undefined;
  let server: Canned | undefined;

  beforeEach(() => {
    enter({ accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'not-to-be-shown' });
    deadline = new Deadline(20_000, { what: 'the test' });
  });
  afterEach(async () => {
    deadline.close();
    storage?.close();
    await server?.close();
  });

  const open = async (answers: Answers): Promise<Storage> => {
    server = await startCanned(answers);
    storage = await openS3(archiveOf(server), process.env);
    return storage;
  };
  const list = async (store: Storage): Promise<string[]> => {
    const keys: string[] = [];
    for await (const page of store.list('', {}, deadline)) keys.push(...page.map(({ key }) => key));
    return keys;
  };
  const asking = {
    create: (store: Storage) => store.create('a', text('content'), deadline),
    get: (store: Storage) => store.get('a', deadline),
    head: (store: Storage) => store.head('a', deadline),
    list,
    delete: (store: Storage) => store.delete(['a'], deadline),
  };

  const expectOutcome = async (answered: Promise<unknown>, { message, hint, ...outcome }: Outcome): Promise<void> => {
    const error: unknown = await answered.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ name: 'StorageError', ...outcome });
    const said = error as { message: string; hint: string };
    expect(said.message).toMatch(message ?? /^cannot /);
    expect(said.hint).toMatch(hint ?? /^/);
    expect(`${said.message}${said.hint}`).not.toContain('not-to-be-shown');
    expect(said.message.length).toBeLessThan(600);
  };

  describe.each(ALWAYS)('%s', (_, answer, outcome) => {
    it.each(['create', 'get', 'list', 'delete'] as const)('of %s', async (verb) => {
      await expectOutcome(asking[verb](await open([answer])), outcome);
      expect(server?.requests).toHaveLength(1);
    });
  });

  it.each(SOMETIMES)('%s of %s', async (_, verb, answer, outcome) => {
    await expectOutcome(asking[verb](await open([answer])), outcome);
    expect(server?.requests).toHaveLength(1);
  });

  describe('HEAD has no body, so a GET is asked', () => {
    it.each<[string, Answer, Answer, Outcome]>([
      ['the object is missing', { status: 404 }, s3Error(404, 'NoSuchKey'), { kind: 'absent' }],
      ['the bucket is missing', { status: 404 }, s3Error(404, 'NoSuchBucket'), { kind: 'configuration' }],
      ['a proxy answers', { status: 404 }, proxyPage(404), { kind: 'unreachable' }],
      [
        'the key is unknown',
        { status: 403 },
        s3Error(403, 'InvalidAccessKeyId'),
        { kind: 'denied', hint: /credentials/ },
      ],
      [
        'the region is another',
        { status: 400 },
        s3Error(400, 'AuthorizationHeaderMalformed'),
        { kind: 'configuration' },
      ],
      ['it has come since', { status: 404 }, object(), { kind: 'unreachable', retryable: true }],
    ])('%s', async (_, head, get, outcome) => {
      await expectOutcome(
        asking.head(await open([head, get])),
        outcome.message ? outcome : { ...outcome, message: /./ },
      );
      expect(server?.requests.map(({ method }) => method)).toEqual(['HEAD', 'GET']);
    });

    it.each<[string, Answer, Outcome]>([
      ['a delete marker', { status: 404, headers: { 'x-amz-delete-marker': 'true' } }, { kind: 'corrupt' }],
      [
        'another region',
        { status: 301, headers: { 'x-amz-bucket-region': 'eu-west-1' } },
        { kind: 'configuration', message: /eu-west-1/ },
      ],
      ['503', { status: 503, headers: { 'retry-after': '1' } }, { kind: 'throttled', retryAfterMs: 1_000 }],
      ['500', { status: 500 }, passing],
      ['a 200 of something else', { status: 200 }, { kind: 'unreachable' }],
    ])('but not where it said enough: %s', async (_, head, outcome) => {
      await expectOutcome(asking.head(await open([head])), outcome);
      expect(server?.requests).toHaveLength(1);
    });
  });

  it('stores nothing blindly where it may not look first', async () => {
    server = await startCanned([{ status: 403 }, s3Error(403, 'AccessDenied')]);
    storage = await openS3({ ...archiveOf(server), conditionalCreate: 'unproven' }, process.env);
    await expectOutcome(asking.create(storage), { kind: 'denied', hint: /s3:ListBucket/ });
    expect(server.requests.map(({ method }) => method)).toEqual(['HEAD', 'GET']);
  });

  it('learns the time from the store where the clock of the machine is wrong', async () => {
    const there = new Date(Date.now() + 2 * 3_600_000);
    const late = s3Error(403, 'RequestTimeTooSkewed', { headers: { date: there.toUTCString() } });
    server = await startCanned([late, object()]);
    storage = await connect(archiveOf(server));
    expect((await storage.get('a', deadline)).info.size).toBe(7);
    const sentAt = (index: number): string => server?.requests[index]?.headers['x-amz-date'] ?? '';
    expect(sentAt(0).slice(0, 11)).not.toBe(sentAt(1).slice(0, 11));
    expect(sentAt(1).slice(0, 11)).toBe(there.toISOString().replaceAll(/[-:]/g, '').slice(0, 11));
  });

  it('leaves out what comes before, where the store does not', async () => {
    const keys = ['a', 'b', 'c'].map((key) => listed(`${ODD_PREFIX}/${key}`.replaceAll('&', '&amp;')));
    const store = await open([listing(`<IsTruncated>false</IsTruncated>${keys.join('')}`)]);
    const pages: string[][] = [];
    for await (const page of store.list('', { after: 'b' }, deadline)) pages.push(page.map(({ key }) => key));
    expect(pages).toEqual([['c']]);
  });

  it('waits as long as a date says', async () => {
    const at = new Date(Date.now() + 60_000).toUTCString();
    const store = await open([s3Error(503, 'SlowDown', { headers: { 'retry-after': at } })]);
    const error = await store.get('a', deadline).catch((reason: unknown) => reason);
    expect((error as { retryAfterMs: number }).retryAfterMs).toBeGreaterThan(55_000);
    expect((error as { retryAfterMs: number }).retryAfterMs).toBeLessThan(61_000);
  });

  it('takes no second page for the end', async () => {
    const first = listing(
      `<IsTruncated>true</IsTruncated><NextContinuationToken>t/1+=</NextContinuationToken>${listed('x/a')}`,
    );
    const same = listing('<IsTruncated>true</IsTruncated><NextContinuationToken>t/1+=</NextContinuationToken>');
    await expectOutcome(list(await open([first, same])), { kind: 'corrupt', message: /goes on/ });
    expect(server?.requests[1]?.path).toContain('continuation-token=t%2F1%2B%3D');
  });

  it('reads keys as they are encoded, and only where they are', async () => {
    const done = '<IsTruncated>false</IsTruncated>';
    const encoded = encodeURIComponent(`${ODD_PREFIX}/a b+%41`).replaceAll('%20', '+');
    expect(await list(await open([listing(`${done}<EncodingType>url</EncodingType>${listed(encoded)}`)]))).toEqual([
      'a b+%41',
    ]);
    const plain = `${ODD_PREFIX}/a b+%41`.replaceAll('&', '&amp;').replaceAll("'", '&apos;');
    expect(await list(await open([listing(`${done}${listed(plain)}`)]))).toEqual(['a b+%41']);
  });

  it('names the objects that were not deleted, and why', async () => {
    const root = archiveOf(await startCanned([]))
      .url.slice('s3://bucket/'.length)
      .replaceAll('&', '&amp;');
    const result = (fields: string): Answer => ({ status: 200, body: `<DeleteResult>${fields}</DeleteResult>` });
    const ok = `<Deleted><Key>${root}/a</Key></Deleted>`;
    await (await open([result(ok)])).delete(['a'], deadline);
    const refused = `<Error><Key>${root}/b</Key><Code>AccessDenied</Code><Message>no</Message></Error>`;
    await expectOutcome((await open([result(ok + refused)])).delete(['a', 'b'], deadline), {
      kind: 'denied',
      message: /delete s3:.*\/b /,
    });
    const slow = `<Error><Key>${root}/b</Key><Code>SlowDown</Code><Message>no</Message></Error>`;
    await expectOutcome((await open([result(ok + slow)])).delete(['a', 'b'], deadline), { kind: 'throttled' });
    await expectOutcome((await open([result(ok)])).delete(['a', 'b'], deadline), { kind: 'unreachable' });
  });

  it.each<[string, Record<string, string>, object]>([
    [
      'whole',
      { 'x-amz-checksum-sha256': Buffer.alloc(32, 1).toString('base64'), 'x-amz-checksum-type': 'FULL_OBJECT' },
      { digest: { algorithm: 'sha256' } },
    ],
    [
      'whole, of a store that names no type',
      { 'x-amz-checksum-sha256': Buffer.alloc(32, 1).toString('base64') },
      { digest: { algorithm: 'sha256' } },
    ],
    [
      'CRC-32C',
      { 'x-amz-checksum-crc32c': 'yZRlqg==', 'x-amz-checksum-type': 'FULL_OBJECT' },
      { digest: { algorithm: 'crc32c' } },
    ],
    [
      'of parts',
      { 'x-amz-checksum-sha256': Buffer.alloc(32, 1).toString('base64'), 'x-amz-checksum-type': 'COMPOSITE' },
      {},
    ],
    [
      'of parts, as older stores write it',
      { 'x-amz-checksum-sha256': `${Buffer.alloc(32, 1).toString('base64')}-3` },
      {},
    ],
    ['unknown', { 'x-amz-checksum-crc64nvme': 'AAAAAAAAAAA=' }, {}],
    ['none', {}, {}],
  ])('takes for a digest what is one of the whole object: %s', async (_, headers, digest) => {
    const info = await (await open([object(headers)])).head('a', deadline);
    expect(info).toMatchObject({ size: 7, ...digest });
    expect('digest' in info).toBe('digest' in digest);
  });
});
