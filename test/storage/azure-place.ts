import type { ArchiveSettings } from '../../src/settings/schema.ts';
import { openAzure } from '../../src/storage/azure/storage.ts';
import { withLimits } from '../../src/storage/limits.ts';
import { withRetry } from '../../src/storage/retry.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { azurite, type Azurite } from '../harness/stores/azurite.ts';
import { fillBucket, newName } from '../harness/stores/server.ts';
import { connectInOwnExecutable } from './bridge/executable.ts';
import type { Place } from './conformance.ts';

/** What the prefix of a URL may hold, and what must be encoded on the way. */
export const PREFIX = "pre fix/ü+&'()~";

export function azureArchive(container: string, more: Partial<ArchiveSettings> = {}): ArchiveSettings {
  return { url: `azure://${container}/${PREFIX}`, scheme: 'azure', required: true, mode: 'push', ...more };
}

/** The backend alone, without limits and retries: as it behaves by itself. */
export function openAlone(
  container: string,
  env: NodeJS.ProcessEnv,
  more: Partial<ArchiveSettings> = {},
): Promise<Storage> {
  return openAzure(azureArchive(container, more), env);
}

/** As `connect` makes it, with an environment of one's own. */
export type Connect = (archive: ArchiveSettings, env: Record<string, string>) => Promise<Storage>;

const connectHere: Connect = async (archive, env) => withRetry(withLimits(await openAzure(archive, env)));

/** An archive in a new container of Azurite. */
export async function makeAzurePlace(connect: Connect = connectHere): Promise<Place> {
  const server = await azurite();
  const container = await server.makeContainer();
  const env = { AZURE_STORAGE_CONNECTION_STRING: server.connectionString };
  return {
    storage: await connect(azureArchive(container), env),
    another: () => connect(azureArchive(container), env),
    missing: async () => ({ storage: await connect(azureArchive(newName('nowhere')), env), kind: 'configuration' }),
    refused: ['back\\slash'],
    fill: (keys) =>
      fillBucket(
        server.eye,
        container,
        keys.map((key) => `${PREFIX}/${key}`),
      ),
    apart: () => connectInOwnExecutable(azureArchive(container), env),
    atPrefix: (prefix) => connect(azureArchive(container, { url: `azure://${container}/${PREFIX}/${prefix}` }), env),
    denied: () =>
      connect(azureArchive(container), { AZURE_STORAGE_CONNECTION_STRING: server.strangersConnectionString }),
    leftovers: () => uncommitted(server, container),
    remove: async () => {
      await server.client.deleteContainer(container);
    },
  };
}

/** Blobs of which only blocks are there. */
async function uncommitted(server: Azurite, container: string): Promise<string[]> {
  const options = { includeUncommitedBlobs: true };
  const names: string[] = [];
  for await (const { name, properties } of server.client.getContainerClient(container).listBlobsFlat(options)) {
    if (properties.contentLength === undefined || properties.contentLength === 0) names.push(name);
  }
  return names;
}
