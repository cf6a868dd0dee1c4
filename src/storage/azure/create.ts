import { Readable } from 'node:stream';

import type { Deadline } from '../deadline.ts';
import { StorageError } from '../errors.ts';
import type { Body } from '../storage.ts';
import { Call } from './call.ts';
import type { Client } from './client.ts';
import { mayBeTaken } from './errors.ts';
import { headBlob } from './read.ts';

export interface CreateOptions {
  /** The access tier of the new blob; undefined: the account's default. */
  readonly tier: string | undefined;
}

/**
 * Stores a blob by one Put Blob of any size (up to 5000 MiB), only if there is none. The service verifies the MD5 that
 * comes with it, and keeps it. Returns the ETag of exactly this blob.
 */
export async function createBlob(
  client: Client,
  key: string,
  body: Body,
  deadline: Deadline,
  { tier }: CreateOptions,
): Promise<string> {
  const digest = await body.digest('md5');
  const call = new Call({ verb: 'create', key, container: client.container }, deadline, body);
  try {
    const { etag = '' } = await call.ask((abortSignal) =>
      client.blob(key).upload(() => Readable.from(body.open()), body.length, {
        abortSignal,
        conditions: { ifNoneMatch: '*' },
        transactionalContentMD5: digest,
        ...(tier !== undefined && { tier }),
      }),
    );
    return etag;
  } catch (error) {
    if (mayBeTaken(call.answer) && (await isThere(client, key, deadline))) {
      throw new StorageError('exists', `there is a ${key} already`, { cause: error });
    }
    throw error;
  } finally {
    call.close();
  }
}

/** Whether the service says so; false where it says anything else. */
async function isThere(client: Client, key: string, deadline: Deadline): Promise<boolean> {
  return headBlob(client, key, deadline, undefined).then(
    () => true,
    () => false,
  );
}
