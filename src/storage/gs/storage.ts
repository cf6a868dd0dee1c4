import type { StoreSettings } from '../../settings/schema.ts';
import type { Deadline } from '../deadline.ts';
import { openTransport, type Transport } from '../http/transport.ts';
import type { Body, ListedObject, ListOptions, ObjectInfo, Storage, StoredObject } from '../storage.ts';
import { Client } from './client.ts';
import { createObject, type ObjectOptions } from './create.ts';
import type { Credentials } from './credentials.ts';
import { deleteObjects } from './delete.ts';
import { listObjects } from './list.ts';
import { Place } from './place.ts';
import { getObject, headObject } from './read.ts';

export type GsSettings = Pick<StoreSettings, 'url' | 'endpoint' | 'caFile'> & ObjectOptions;

/**
 * An archive in Google Cloud Storage. Credentials are the client library's work; the objects are asked for by the JSON
 * API itself, a request for a verb: the library's own classes send in ways that can't be told to keep to that
 * (docs/stores/gs.md).
 */
class GsStorage implements Storage {
  readonly #client: Client;
  readonly #options: ObjectOptions;

  constructor(client: Client, options: ObjectOptions) {
    this.#client = client;
    this.#options = options;
  }

  get url(): string {
    return this.#client.place.url;
  }

  create(key: string, body: Body, deadline: Deadline): Promise<void> {
    return createObject(this.#client, key, body, this.#options, deadline);
  }

  get(key: string, deadline: Deadline): Promise<StoredObject> {
    return getObject(this.#client, key, deadline);
  }

  head(key: string, deadline: Deadline): Promise<ObjectInfo> {
    return headObject(this.#client, key, deadline);
  }

  list(prefix: string, options: ListOptions, deadline: Deadline): AsyncIterable<readonly ListedObject[]> {
    return listObjects(this.#client, prefix, options, deadline);
  }

  delete(keys: readonly string[], deadline: Deadline): Promise<void> {
    return deleteObjects(this.#client, keys, deadline);
  }

  close(): void {
    this.#client.close();
  }
}

/** Nothing is asked of the service yet. Errors: StorageError `configuration`. */
export async function openGs(archive: GsSettings, env: NodeJS.ProcessEnv): Promise<Storage> {
  const place = new Place({ ...archive, env });
  const transport = await openTransport({ caFile: archive.caFile, env });
  const credentials = place.isAuthenticated ? await loadCredentials(transport) : undefined;
  return new GsStorage(new Client(place, transport, credentials), archive);
}

/** The client library takes its time to load, and an emulator needs none. */
async function loadCredentials(transport: Transport): Promise<Credentials> {
  const { Credentials } = await import('./credentials.ts');
  return new Credentials(transport);
}
