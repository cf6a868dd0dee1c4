import type { Deadline } from '../deadline.ts';
import { StorageError } from '../errors.ts';
import { compareKeys } from '../order.ts';
import { retryingPage } from '../retry.ts';
import type { ListedObject, ListOptions } from '../storage.ts';
import { listPage } from './absence.ts';
import type { Page } from './answers.ts';
import type { Client } from './client.ts';

/** The service gives no more. */
const LONGEST_PAGE = 1_000;

/** Begins at `after`: the service takes a name to start at, which it lists too. Pages may be empty before the last. */
export async function* listObjects(
  client: Client,
  prefix: string,
  { after = '', limit = LONGEST_PAGE }: ListOptions,
  deadline: Deadline,
): AsyncGenerator<readonly ListedObject[], void, undefined> {
  const { place } = client;
  const what = client.what('list', prefix);
  const length = Math.max(1, Math.min(limit, LONGEST_PAGE));
  const query = {
    prefix: place.nameOf(prefix),
    startOffset: after === '' ? undefined : place.nameOf(after),
    // One more, in case that is `after` itself.
    maxResults: String(Math.min(after === '' ? length : length + 1, LONGEST_PAGE)),
  };
  let pageToken: string | undefined;
  do {
    const asked = { ...query, pageToken };
    const ask = (): Promise<Page> => listPage(client, what, asked, deadline);
    const page = await retryingPage(pageToken === undefined, ask, deadline);
    if (page.nextPageToken !== undefined && page.nextPageToken === pageToken) throw stuck(what);
    pageToken = page.nextPageToken;
    const objects = page.objects.flatMap((object) => {
      const key = place.keyOf(object.key);
      return key !== undefined && compareKeys(key, after) > 0 ? [{ ...object, key }] : [];
    });
    for (let start = 0; start < objects.length; start += length) yield objects.slice(start, start + length);
  } while (pageToken !== undefined);
}

function stuck(what: string): StorageError {
  return new StorageError('unreachable', `${what} gives the same page again and again`);
}
