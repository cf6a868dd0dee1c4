import type { ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';

import { sdk } from '#s3-sdk';

import type { Deadline } from '../deadline.ts';
import { StorageError } from '../errors.ts';
import { compareKeys } from '../order.ts';
import { retryingPage } from '../retry.ts';
import type { ListedObject, ListOptions } from '../storage.ts';
import type { Client } from './client.ts';
import type { Place } from './place.ts';

/** What a store gives at most. */
const PAGE = 1_000;

/**
 * All objects that match, in pages as the store gives them. It begins after the key that it is asked to begin after,
 * without a look at those before.
 */
export async function* listObjects(
  client: Client,
  place: Place,
  prefix: string,
  { after = '', limit = PAGE }: ListOptions,
  deadline: Deadline,
): AsyncGenerator<readonly ListedObject[], void, undefined> {
  const doing = `list ${place.url}/${prefix}`;
  // Of the keys with this prefix, all come after `after`, or none does, unless that has the prefix itself.
  const isWithin = after.startsWith(prefix) && after !== prefix;
  const isBehind = !after.startsWith(prefix) && compareKeys(after, prefix) > 0;
  let token: string | undefined;
  do {
    const command = new sdk.ListObjectsV2Command({
      Bucket: place.bucket,
      Prefix: place.full(prefix),
      // Characters that XML can't hold, such as those of a key that somebody else has made.
      EncodingType: 'url',
      // Where there is nothing to be found, the bucket is asked for all the same.
      MaxKeys: isBehind ? 1 : Math.max(1, Math.min(limit, PAGE)),
      ...(token !== undefined && { ContinuationToken: token }),
      // Not one outside of the prefix: there are stores that know no answer to that.
      ...(token === undefined && isWithin && { StartAfter: place.full(after) }),
    });
    const ask = (): Promise<ListObjectsV2CommandOutput> => client.ask(command, doing, deadline);
    const page = await retryingPage(token === undefined, ask, deadline);
    const objects = objectsOf(place, page, doing);
    if (isBehind) return;
    yield objects.filter(({ key }) => key.startsWith(prefix) && compareKeys(key, after) > 0);
    token = nextToken(page, token, doing);
  } while (token !== undefined);
}

function objectsOf(place: Place, page: ListObjectsV2CommandOutput, doing: string): ListedObject[] {
  if (page.IsTruncated === undefined) {
    throw new StorageError('unreachable', `cannot ${doing}: the answer is no listing`, {
      hint: 'It is no answer of an S3 store: is the endpoint right, or does a proxy answer?',
    });
  }
  return (page.Contents ?? []).flatMap(({ Key: written, Size: size, LastModified: modified }) => {
    if (written === undefined || size === undefined || modified === undefined) {
      throw new StorageError('corrupt', `cannot ${doing}: an object is listed without its key, size or time`);
    }
    const key = place.own(page.EncodingType === 'url' ? decode(written, doing) : written);
    return key === undefined ? [] : [{ key, size, modified: wholeSecond(modified) }];
  });
}

/** As the header Last-Modified has it: some stores list the part of a second as well. */
function wholeSecond(time: Date): Date {
  return new Date(Math.floor(time.getTime() / 1_000) * 1_000);
}

/** As forms are encoded: a space may be a plus. */
function decode(text: string, doing: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch (cause) {
    throw new StorageError('corrupt', `cannot ${doing}: the key ${text} cannot be decoded`, { cause });
  }
}

function nextToken(page: ListObjectsV2CommandOutput, token: string | undefined, doing: string): string | undefined {
  if (page.IsTruncated !== true) return undefined;
  const next = page.NextContinuationToken;
  if (next !== undefined && next !== '' && next !== token) return next;
  throw new StorageError('corrupt', `cannot ${doing}: the listing goes on, but the store does not say where`);
}
