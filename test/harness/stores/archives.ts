import { azurite } from './azurite.ts';
import { fakeGcs, type FakeGcs } from './fake-gcs.ts';
import { minio } from './minio.ts';
import type { Eye } from './server.ts';
import type { StoreName } from '../need.ts';

/** The clouds' schemes, each with the server that stands for its store in tests. */
export const CLOUDS = { s3: 'minio', azure: 'azurite', gs: 'fake-gcs-server' } as const satisfies Record<
  string,
  StoreName
>;
export type Cloud = keyof typeof CLOUDS;

/** An empty archive in a bucket of its own: how settings name it, and how it is seen past walseal. */
export interface CloudArchive {
  readonly cloud: Cloud;
  readonly url: string;
  /** The keys of its `[[archive]]` table, as `HostOptions.archives` takes them. */
  readonly table: Readonly<Record<string, string | boolean>> & { readonly url: string };
  /** What the programs need in their environment: credentials. */
  readonly env: Readonly<Record<string, string>>;
  readonly bucket: string;
  /** Before each key of the archive in the bucket, with its slash. */
  readonly prefix: string;
  readonly eye: Eye;
  /** Environments whose credentials the store refuses; undefined where it asks for none. */
  readonly refusedEnv: Readonly<Record<string, string>> | undefined;
}

const PREFIX = 'pre fix/ü';

/** Makes one. `endpoint`: of a relay in front of the server, where not the server itself. */
export async function makeCloudArchive(cloud: Cloud, endpoint?: string): Promise<CloudArchive> {
  switch (cloud) {
    case 's3': {
      const server = await minio();
      const bucket = await server.makeBucket();
      return {
        ...named(cloud, bucket, {
          endpoint: endpoint ?? server.endpoint,
          region: server.region,
          force_path_style: true,
          conditional_create: 'proven',
        }),
        env: credentials(server.root.accessKeyId, server.root.secretAccessKey),
        refusedEnv: credentials(server.root.accessKeyId, 'not-the-secret'),
        eye: server.eye,
      };
    }
    case 'azure': {
      const server = await azurite();
      const bucket = await server.makeContainer();
      const connect = (key?: string): Record<string, string> => ({
        AZURE_STORAGE_CONNECTION_STRING: server.connectionStringAt(endpoint ?? server.endpoint, key),
      });
      const stranger = Buffer.alloc(64).toString('base64');
      return { ...named(cloud, bucket, {}), env: connect(), refusedEnv: connect(stranger), eye: server.eye };
    }
    case 'gs':
      return makeGsArchive(await fakeGcs(), endpoint);
  }
}

/** One on a server of one's own. */
export async function makeGsArchive(server: FakeGcs, endpoint = server.endpoint): Promise<CloudArchive> {
  const bucket = await server.makeBucket();
  return { ...named('gs', bucket, { endpoint }), env: {}, refusedEnv: undefined, eye: server.eye };
}

function named(
  cloud: Cloud,
  bucket: string,
  options: Readonly<Record<string, string | boolean>>,
): Omit<CloudArchive, 'env' | 'refusedEnv' | 'eye'> {
  const url = `${cloud}://${bucket}/${PREFIX}`;
  return { cloud, url, table: { url, ...options }, bucket, prefix: `${PREFIX}/` };
}

function credentials(accessKey: string, secret: string): Record<string, string> {
  return { AWS_ACCESS_KEY_ID: accessKey, AWS_SECRET_ACCESS_KEY: secret };
}

/** The lines of an `[[archive]]` table, as `SettingsParts.archives` takes them. */
export function linesOf(
  table: CloudArchive['table'],
  options: Readonly<Record<string, string | boolean>> = {},
): string {
  return Object.entries({ ...table, ...options })
    .map(([key, value]) => `${key} = ${JSON.stringify(value)}`)
    .join('\n');
}
