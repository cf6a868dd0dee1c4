import { storeProgram } from '../need.ts';
import { newName, shared, StoreServer, type Eye, type Store } from './server.ts';

export interface BucketOptions {
  readonly versioning?: boolean;
}

/** fake-gcs-server, which asks for no credentials. */
export class FakeGcs implements Store {
  readonly server: StoreServer;
  readonly projectId = 'walseal-test';
  readonly eye: Eye;

  constructor(server: StoreServer) {
    this.server = server;
    this.eye = eyeOf(server.endpoint);
  }

  get endpoint(): string {
    return this.server.endpoint;
  }

  /** Makes an empty bucket and gives its name. */
  async makeBucket(name = newName('bucket'), options: BucketOptions = {}): Promise<string> {
    const body = JSON.stringify({ name, versioning: { enabled: options.versioning ?? false } });
    const headers = { 'content-type': 'application/json' };
    await ask(`${this.endpoint}/storage/v1/b?project=${this.projectId}`, { method: 'POST', headers, body });
    return name;
  }
}

/** GCS's JSON interface, by hand. */
function eyeOf(endpoint: string): Eye {
  return {
    put: async (bucket, key, bytes) => {
      const query = new URLSearchParams({ uploadType: 'media', name: key }).toString();
      const body = new Uint8Array(bytes);
      await ask(`${endpoint}/upload/storage/v1/b/${bucket}/o?${query}`, { method: 'POST', body });
    },
    read: (bucket, key) => ask(`${endpoint}/storage/v1/b/${bucket}/o/${encodeURIComponent(key)}?alt=media`),
    keys: async (bucket, prefix = '') => {
      const keys: string[] = [];
      let pageToken: string | undefined = '';
      while (pageToken !== undefined) {
        const query = new URLSearchParams({ prefix, ...(pageToken === '' ? {} : { pageToken }) }).toString();
        const page: Listing = parse(await ask(`${endpoint}/storage/v1/b/${bucket}/o?${query}`));
        keys.push(...(page.items ?? []).map(({ name }) => name));
        pageToken = page.nextPageToken;
      }
      return keys.sort();
    },
    remove: async (bucket, key) => {
      await ask(`${endpoint}/storage/v1/b/${bucket}/o/${encodeURIComponent(key)}`, { method: 'DELETE' });
    },
  };
}

interface Listing {
  readonly items?: readonly { readonly name: string }[];
  readonly nextPageToken?: string;
}

function parse(bytes: Buffer): Listing {
  return JSON.parse(bytes.toString()) as Listing;
}

async function ask(url: string, request: RequestInit = {}): Promise<Buffer> {
  const response = await fetch(url, request);
  const bytes = Buffer.from(await response.arrayBuffer());
  if (!response.ok) throw new Error(`${url} answers ${response.status}: ${bytes.toString()}`);
  return bytes;
}

/** The server that all tests of this process share. */
export const fakeGcs = shared(() => startFakeGcs());

/**
 * A server of one's own, for what others must not see. In memory it looks through all objects of a bucket for each of
 * them: thousands are better kept in files (which are in memory, too).
 */
export async function startFakeGcs(backend: 'memory' | 'filesystem' = 'memory'): Promise<FakeGcs> {
  const server = await StoreServer.start('fake-gcs-server', '/_internal/healthcheck', (port, directory) => ({
    command: storeProgram('fake-gcs-server'),
    args: [
      ...['-backend', backend, '-filesystem-root', `${directory}/buckets`, '-log-level', 'warn', '-scheme', 'http'],
      ...['-host', '127.0.0.1', '-port', String(port)],
      ...['-external-url', `http://127.0.0.1:${port}`, '-public-host', `127.0.0.1:${port}`],
    ],
  }));
  return new FakeGcs(server);
}
