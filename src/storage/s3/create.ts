import { Readable } from 'node:stream';

import type { PutObjectCommandInput } from '@aws-sdk/client-s3';

import { sdk } from '#s3-sdk';

import type { StoreSettings } from '../../settings/schema.ts';
import type { Deadline } from '../deadline.ts';
import { StorageError } from '../errors.ts';
import type { Body } from '../storage.ts';
import type { Client } from './client.ts';
import { isSdkRequest } from './handler.ts';
import type { Place } from './place.ts';
import { headFault } from './read.ts';

/** How objects are created. */
export interface Creation extends Pick<StoreSettings, 'sse' | 'kmsKey' | 'storageClass'> {
  /** A store that does not know If-None-Match overwrites silently: so look before. */
  readonly looksFirst: boolean;
}

/**
 * Creates an object by one conditional PUT, whatever its size. The store checks the bytes against their SHA-256, and
 * keeps that as the object's checksum.
 */
export async function createObject(
  client: Client,
  place: Place,
  key: string,
  body: Body,
  creation: Creation,
  deadline: Deadline,
): Promise<void> {
  if (creation.looksFirst) await refuseTaken(client, place, key, deadline);
  const sha256 = Buffer.from(await body.digest('sha256'));
  const command = new sdk.PutObjectCommand({
    ...nameOf(place, key),
    IfNoneMatch: '*',
    Body: new Source(body),
    ContentLength: body.length,
    // Together: there are stores that ignore the one without the other.
    ChecksumAlgorithm: 'SHA256',
    ChecksumSHA256: sha256.toString('base64'),
    ...optionsOf(creation),
  });
  command.middlewareStack.add(
    (next) => async (args) => {
      // A signature over the body, too: the SDK would leave that of a stream unsigned.
      if (isSdkRequest(args.request)) args.request.headers['x-amz-content-sha256'] = sha256.toString('hex');
      return next(args);
    },
    { step: 'build', name: 'signBody' },
  );
  await client.ask(command, `create ${place.url}/${key}`, deadline);
}

/**
 * What the SDK takes for a stream, and never reads: it is the handler that asks it for its pieces. A stream in between
 * would throw into the body's source when a request is cut off.
 */
class Source extends Readable {
  readonly #body: Body;

  constructor(body: Body) {
    super();
    this.#body = body;
  }

  override async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, undefined, undefined> {
    yield* this.#body.open();
  }
}

async function refuseTaken(client: Client, place: Place, key: string, deadline: Deadline): Promise<void> {
  const doing = `look whether there is a ${place.url}/${key}`;
  const reply = await client.reply(new sdk.HeadObjectCommand(nameOf(place, key)), doing, deadline);
  if ('output' in reply) throw new StorageError('exists', `there is a ${place.url}/${key} already`);
  // What is missing, be it the bucket, is found out by the PUT.
  if (reply.refusal.status !== 404) throw await headFault(client, place, key, reply.refusal, deadline);
}

function nameOf(place: Place, key: string): { Bucket: string; Key: string } {
  return { Bucket: place.bucket, Key: place.full(key) };
}

function optionsOf({ sse, kmsKey, storageClass }: Creation): Partial<PutObjectCommandInput> {
  return {
    ...(sse !== undefined && { ServerSideEncryption: sse }),
    ...(kmsKey !== undefined && { SSEKMSKeyId: kmsKey }),
    ...(storageClass !== undefined && { StorageClass: storageClass as PutObjectCommandInput['StorageClass'] }),
  };
}
