import { randomBytes } from 'node:crypto';
import { createRequire } from 'node:module';
import { BlobServiceClient, StorageSharedKeyCredential } from '@azure/storage-blob';

import { newName, shared, StoreServer, type Eye, type Store } from './server.ts';

const ACCOUNT = 'walsealtest';
const KEEP_ALIVE_S = '600';

/** Azurite: Azure's own emulator of its blob storage. */
export class Azurite implements Store {
  readonly server: StoreServer;
  readonly account = ACCOUNT;
  readonly accountKey: string;
  readonly client: BlobServiceClient;
  readonly eye: Eye;

  constructor(server: StoreServer, accountKey: string) {
    this.server = server;
    this.accountKey = accountKey;
    this.client = new BlobServiceClient(this.endpoint, this.credential);
    this.eye = eyeOf(this.client);
  }

  /** With the account in its path, as emulators have it. */
  get endpoint(): string {
    return `${this.server.endpoint}/${ACCOUNT}`;
  }

  get credential(): StorageSharedKeyCredential {
    return new StorageSharedKeyCredential(ACCOUNT, this.accountKey);
  }

  get connectionString(): string {
    return this.connectionStringAt(this.endpoint);
  }

  /** For a relay in front of it, or with a key that is not the account's. */
  connectionStringAt(endpoint: string, accountKey = this.accountKey): string {
    const scheme = new URL(endpoint).protocol.slice(0, -1);
    return `DefaultEndpointsProtocol=${scheme};AccountName=${ACCOUNT};AccountKey=${accountKey};BlobEndpoint=${endpoint};`;
  }

  /** With a key that is not the account's. */
  get strangersConnectionString(): string {
    return this.connectionStringAt(this.endpoint, randomBytes(64).toString('base64'));
  }

  /** Makes an empty container and gives its name. */
  async makeContainer(name = newName('container')): Promise<string> {
    await this.client.createContainer(name);
    return name;
  }
}

function eyeOf(client: BlobServiceClient): Eye {
  const blob = (container: string, key: string): ReturnType<typeof blockBlob> => blockBlob(client, container, key);
  return {
    put: async (container, key, bytes) => {
      await blob(container, key).upload(bytes, bytes.length);
    },
    read: (container, key) => blob(container, key).downloadToBuffer(),
    keys: async (container, prefix = '') => {
      const keys: string[] = [];
      for await (const item of client.getContainerClient(container).listBlobsFlat({ prefix })) keys.push(item.name);
      return keys.sort();
    },
    remove: async (container, key) => {
      await blob(container, key).delete();
    },
  };
}

function blockBlob(client: BlobServiceClient, container: string, key: string): BlockBlob {
  return client.getContainerClient(container).getBlockBlobClient(key);
}

type BlockBlob = ReturnType<ReturnType<BlobServiceClient['getContainerClient']>['getBlockBlobClient']>;

/** The server that all tests of this process share. */
export const azurite = shared(startAzurite);

/** A server of one's own, for what others must not see. */
export async function startAzurite(): Promise<Azurite> {
  const accountKey = randomBytes(64).toString('base64');
  const program = createRequire(import.meta.url).resolve('azurite/dist/src/blob/main.js');
  const server = await StoreServer.start('azurite', '/', (port) => ({
    command: process.execPath,
    args: [
      program,
      ...['--blobHost', '127.0.0.1', '--blobPort', String(port)],
      ...['--inMemoryPersistence', '--silent', '--disableTelemetry'],
      // By itself it drops a connection after 5 idle seconds, perhaps just when the next request is on its way.
      ...['--blobKeepAliveTimeout', KEEP_ALIVE_S],
      // It knows the calls that the SDK makes, and not yet the version that the SDK names.
      '--skipApiVersionCheck',
    ],
    env: { AZURITE_ACCOUNTS: `${ACCOUNT}:${accountKey}` },
  }));
  return new Azurite(server, accountKey);
}
