import type { StoreSettings } from '../../settings/schema.ts';
import type { Deadline } from '../deadline.ts';
import { StorageError } from '../errors.ts';
import type { Body, ListedObject, ListOptions, ObjectInfo, Storage, StoredObject } from '../storage.ts';
import { openClient, type Client } from './client.ts';
import { createObject, type Creation } from './create.ts';
import { deleteObjects } from './delete.ts';
import { listObjects } from './list.ts';
import { Place } from './place.ts';
import { getObject, headObject } from './read.ts';

/** An archive in a bucket of Amazon S3, or of a store that speaks its protocol. */
class S3Storage implements Storage {
  readonly url: string;
  readonly #client: Client;
  readonly #place: Place;
  readonly #creation: Creation;

  constructor(client: Client, place: Place, creation: Creation) {
    this.url = place.url;
    this.#client = client;
    this.#place = place;
    this.#creation = creation;
  }

  create(key: string, body: Body, deadline: Deadline): Promise<void> {
    return createObject(this.#client, this.#place, key, body, this.#creation, deadline);
  }

  get(key: string, deadline: Deadline): Promise<StoredObject> {
    return getObject(this.#client, this.#place, key, deadline);
  }

  head(key: string, deadline: Deadline): Promise<ObjectInfo> {
    return headObject(this.#client, this.#place, key, deadline);
  }

  list(prefix: string, options: ListOptions, deadline: Deadline): AsyncIterable<readonly ListedObject[]> {
    return listObjects(this.#client, this.#place, prefix, options, deadline);
  }

  delete(keys: readonly string[], deadline: Deadline): Promise<void> {
    return deleteObjects(this.#client, this.#place, keys, deadline);
  }

  close(): void {
    this.#client.close();
  }
}

/** Nothing is asked of the store yet. Errors: StorageError `configuration`. */
export async function openS3(archive: StoreSettings, env: NodeJS.ProcessEnv): Promise<Storage> {
  const place = new Place(archive.url);
  if (place.bucket.endsWith('--x-s3')) {
    throw new StorageError('configuration', `${archive.url} is a directory bucket (S3 Express One Zone)`, {
      hint: 'It lies in one zone and does not list in order: take a general purpose bucket.',
    });
  }
  // Amazon's own S3 is known to refuse a key that is taken.
  const { conditionalCreate = archive.endpoint === undefined ? 'proven' : 'unproven' } = archive;
  const looksFirst = conditionalCreate === 'unproven';
  return new S3Storage(await openClient(archive, env), place, { ...archive, looksFirst });
}
