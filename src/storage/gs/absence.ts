import type { Deadline } from '../deadline.ts';
import { StorageError } from '../errors.ts';
import { PAGE_FIELDS, parsePage, readText, type Page } from './answers.ts';
import type { Client } from './client.ts';
import { missingBucket } from './create.ts';
import { foreign, readRefusal, refused } from './errors.ts';

/**
 * What a 404 for an object means. The service says the same of a missing bucket, and refuses downloads in a text that
 * any server could have written: so it is asked to list this one name. Only where it lists the bucket, and not the
 * name, is the object absent. Listings are consistent: https://cloud.google.com/storage/docs/consistency
 */
export async function explainMissing(client: Client, key: string, deadline: Deadline): Promise<StorageError> {
  const { place } = client;
  const name = place.nameOf(key);
  const { objects } = await listPage(client, client.what('look', key), { prefix: name, maxResults: '1' }, deadline);
  if (objects.some((object) => object.key === name)) {
    return new StorageError('unreachable', `${client.what('get', key)} was answered with 404, but it is listed`);
  }
  return new StorageError('absent', `there is no ${place.url}/${key}`);
}

/** Errors: StorageError `configuration` where the bucket does not exist, `denied` where we may not know. */
export async function requireBucket(client: Client, deadline: Deadline): Promise<void> {
  await listPage(client, `look at ${client.place.url}`, { prefix: client.place.nameOf(''), maxResults: '1' }, deadline);
}

/** One page of a listing, with names for keys. https://cloud.google.com/storage/docs/json_api/v1/objects/list */
export async function listPage(
  client: Client,
  what: string,
  query: Readonly<Record<string, string | undefined>>,
  deadline: Deadline,
): Promise<Page> {
  const url = client.place.objects({ ...query, fields: PAGE_FIELDS });
  const response = await client.send({ method: 'GET', url, headers: {} }, deadline);
  if (response.status !== 200) {
    const refusal = await readRefusal(response);
    if (refusal.status === 404 && refusal.reason === 'notFound') throw missingBucket(client.place.url);
    throw refused(refusal, what);
  }
  const page = parsePage(await readText(response));
  if (page === undefined) throw foreign(what, 'a 200 that is no listing');
  return page;
}
