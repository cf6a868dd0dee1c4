import type { Deadline } from '../deadline.ts';
import { requireBucket } from './absence.ts';
import type { Client } from './client.ts';
import { readText } from './answers.ts';
import { readRefusal, refused } from './errors.ts';

/** Requests at the same time. The service's batches are billed and limited as their parts are, and answered in parts. */
const TOGETHER = 16;

/** Deletes objects, a few at a time. 'Not found' counts as deleted once the bucket is known to exist. */
export async function deleteObjects(client: Client, keys: readonly string[], deadline: Deadline): Promise<void> {
  const left = keys.values();
  let isOver = false;
  const work = async (): Promise<boolean> => {
    let areSomeMissing = false;
    for (const key of left) {
      if (isOver) break;
      if ((await deleteObject(client, key, deadline)) === 'missing') areSomeMissing = true;
      deadline.progress();
    }
    return areSomeMissing;
  };
  const workers = Array.from({ length: Math.min(TOGETHER, keys.length) }, () =>
    work().catch((error: unknown) => {
      isOver = true;
      throw error;
    }),
  );
  // Nothing goes on behind the caller's back: the first error is thrown when all have stopped.
  await Promise.allSettled(workers);
  const areSomeMissing = await Promise.all(workers);
  if (areSomeMissing.includes(true)) await requireBucket(client, deadline);
}

/** https://cloud.google.com/storage/docs/json_api/v1/objects/delete */
async function deleteObject(client: Client, key: string, deadline: Deadline): Promise<'deleted' | 'missing'> {
  const url = client.place.object(key, {});
  const response = await client.send({ method: 'DELETE', url, headers: {} }, deadline);
  if (response.status === 204 || response.status === 200) {
    await readText(response);
    return 'deleted';
  }
  const refusal = await readRefusal(response);
  if (refusal.status === 404 && refusal.reason === 'notFound') return 'missing';
  throw refused(refusal, client.what('delete', key));
}
