import type { StoreSettings } from '../../settings/schema.ts';
import type { Deadline } from '../deadline.ts';
import { openTransport, type Transport } from '../http/transport.ts';
import type { Body, ListedObject, ListOptions, ObjectInfo, Storage, StoredObject } from '../storage.ts';
import { findAccount } from './account.ts';
import { openClient, type Client } from './client.ts';
import { createBlob } from './create.ts';
import { getBlob, headBlob } from './read.ts';

/** How many blobs of our own are known by their ETags: of those that are being verified. */
const REMEMBERED = 256;

/** An archive in a container of Azure Blob Storage: block blobs, each made by one Put Blob. */
class AzureStorage implements Storage {
  readonly url: string;
  readonly #client: Client;
  readonly #transport: Transport;
  readonly #tier: string | undefined;
  /** The ETags that our Put Blobs were answered with, by key. */
  readonly #made = new Map<string, string>();

  constructor(archive: StoreSettings, client: Client, transport: Transport) {
    this.url = archive.url;
    this.#client = client;
    this.#transport = transport;
    this.#tier = archive.storageClass;
  }

  async create(key: string, body: Body, deadline: Deadline): Promise<void> {
    const etag = await createBlob(this.#client, key, body, deadline, { tier: this.#tier });
    this.#made.delete(key);
    this.#made.set(key, etag);
    const [oldest] = this.#made.keys();
    if (this.#made.size > REMEMBERED && oldest !== undefined) this.#made.delete(oldest);
  }

  get(key: string, deadline: Deadline): Promise<StoredObject> {
    return getBlob(this.#client, key, deadline);
  }

  head(key: string, deadline: Deadline): Promise<ObjectInfo> {
    return headBlob(this.#client, key, deadline, this.#made.get(key));
  }

  /** What lists and deletes is loaded only where it is needed: a push needs neither. */
  async *list(
    prefix: string,
    options: ListOptions,
    deadline: Deadline,
  ): AsyncGenerator<readonly ListedObject[], void, undefined> {
    const { listBlobs } = await import('./list.ts');
    yield* listBlobs(this.#client, prefix, options, deadline);
  }

  async delete(keys: readonly string[], deadline: Deadline): Promise<void> {
    const { deleteBlobs } = await import('./delete.ts');
    await deleteBlobs(this.#client, keys, deadline);
  }

  close(): void {
    this.#transport.close();
  }
}

/** Nothing is asked of the service yet. Errors: StorageError `configuration`. */
export async function openAzure(archive: StoreSettings, env: NodeJS.ProcessEnv): Promise<Storage> {
  const account = findAccount(archive.endpoint, env);
  const transport = await openTransport({ caFile: archive.caFile, env });
  return new AzureStorage(archive, await openClient(archive.url, account, transport), transport);
}
