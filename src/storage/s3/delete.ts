import { createHash } from 'node:crypto';

import { sdk } from '#s3-sdk';

import type { Deadline } from '../deadline.ts';
import { StorageError } from '../errors.ts';
import type { Client } from './client.ts';
import { isSdkRequest } from './handler.ts';
import type { Place } from './place.ts';
import { refused } from './refusal.ts';

/** What a store takes in one request. */
const BATCH = 1_000;

/** Deletes objects, many in a request. Each is confirmed by the store, or named in the error. */
export async function deleteObjects(
  client: Client,
  place: Place,
  keys: readonly string[],
  deadline: Deadline,
): Promise<void> {
  for (let start = 0; start < keys.length; start += BATCH) {
    await deleteBatch(client, place, keys.slice(start, start + BATCH), deadline);
    deadline.progress();
  }
}

async function deleteBatch(client: Client, place: Place, keys: readonly string[], deadline: Deadline): Promise<void> {
  const doing = `delete ${keys.length} objects of ${place.url}`;
  const command = new sdk.DeleteObjectsCommand({
    Bucket: place.bucket,
    Delete: { Objects: keys.map((key) => ({ Key: place.full(key) })) },
  });
  command.middlewareStack.add(
    (next) => async (args) => {
      // Older stores of S3's kin demand this one, and do not know the CRC32 that the SDK sends.
      if (isSdkRequest(args.request) && typeof args.request.body === 'string') {
        args.request.headers['content-md5'] = createHash('md5').update(args.request.body).digest('base64');
      }
      return next(args);
    },
    { step: 'build', name: 'addContentMd5' },
  );
  const { Deleted: deleted = [], Errors: errors = [] } = await client.ask(command, doing, deadline);
  const [first] = errors;
  if (first !== undefined) {
    const { Key: key = '', Code: code, Message: text } = first;
    const refusal = { status: 200, code, text, headers: {}, region: undefined, cause: first };
    throw refused(refusal, `delete ${place.url}/${place.own(key) ?? key} (and ${errors.length - 1} more)`);
  }
  const confirmed = new Set(deleted.map(({ Key: key }) => key));
  const missing = keys.find((key) => !confirmed.has(place.full(key)));
  if (missing === undefined) return;
  throw new StorageError('unreachable', `cannot ${doing}: the store does not confirm that ${missing} is deleted`);
}
