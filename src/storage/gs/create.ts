import { randomBytes } from 'node:crypto';

import type { Deadline } from '../deadline.ts';
import { StorageError } from '../errors.ts';
import type { RequestBody } from '../http/transport.ts';
import type { Body } from '../storage.ts';
import { OBJECT_FIELDS, parseObject, readText } from './answers.ts';
import type { Client } from './client.ts';
import { foreign, readRefusal, refused, type Refusal } from './errors.ts';

/** How new objects are kept. */
export interface ObjectOptions {
  readonly storageClass?: string | undefined;
  readonly kmsKey?: string | undefined;
}

/** A name is taken also where what has it must not be replaced; whichever the service looks at first. */
const TAKEN: ReadonlySet<string> = new Set(['conditionNotMet', 'retentionPolicyNotMet', 'objectUnderActiveHold']);

/**
 * Creates an object in one request, whatever its size. Generation 0 is 'there is none'; the service compares what it
 * received with the MD5 that goes ahead of it. https://cloud.google.com/storage/docs/json_api/v1/objects/insert
 */
export async function createObject(
  client: Client,
  key: string,
  body: Body,
  options: ObjectOptions,
  deadline: Deadline,
): Promise<void> {
  const { place } = client;
  const name = place.nameOf(key);
  const md5Hash = Buffer.from(await body.digest('md5')).toString('base64');
  const boundary = randomBytes(24).toString('hex');
  const response = await client.send(
    {
      method: 'POST',
      url: place.upload({
        uploadType: 'multipart',
        ifGenerationMatch: '0',
        kmsKeyName: options.kmsKey,
        fields: OBJECT_FIELDS,
      }),
      headers: { 'content-type': `multipart/related; boundary=${boundary}` },
      body: withMetadata({ name, md5Hash, storageClass: options.storageClass }, body, boundary),
    },
    deadline,
  );
  const what = client.what('create', key);
  if (response.status !== 200) throw refusedCreate(await readRefusal(response), what, place.url);
  if (parseObject(await readText(response))?.name !== name) throw foreign(what, 'a 200 that describes no object');
}

function refusedCreate(refusal: Refusal, what: string, url: string): StorageError {
  if (refusal.reason !== undefined && TAKEN.has(refusal.reason)) {
    return new StorageError('exists', `${what}: there is one already`);
  }
  if (refusal.status === 404 && refusal.reason === 'notFound') return missingBucket(url);
  return refused(refusal, what);
}

export function missingBucket(url: string): StorageError {
  return new StorageError('configuration', `there is no bucket of ${url}`, {
    hint: 'Is its name right? Buckets are never created by this program.',
  });
}

/** Metadata and bytes as the two parts of a multipart/related body (RFC 2387), of known length. */
function withMetadata(metadata: object, body: Body, boundary: string): RequestBody {
  const start = Buffer.from(
    `--${boundary}\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n${JSON.stringify(metadata)}\r\n` +
      `--${boundary}\r\nContent-Type: application/octet-stream\r\n\r\n`,
  );
  const end = Buffer.from(`\r\n--${boundary}--\r\n`);
  return {
    length: start.length + body.length + end.length,
    async *open() {
      yield start;
      yield* body.open();
      yield end;
    },
  };
}
