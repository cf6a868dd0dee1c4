import { fillBucket } from '../harness/stores/server.ts';
import { minio, type BucketOptions, type Credentials, type Minio } from '../harness/stores/minio.ts';
import type { ArchiveSettings } from '../../src/settings/schema.ts';
import { connect } from '../../src/storage/connect.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { connectInExecutable, connectInOwnExecutable } from './bridge/executable.ts';
import type { Place } from './conformance.ts';

/** All that a prefix may hold, and an encoder may stumble over. */
export const ODD_PREFIX = "arch ive+&='~(é日)!*$@";

/** The settings of an archive in a bucket of this server. */
export function s3Archive(
  server: Pick<Minio, 'endpoint' | 'region'>,
  bucket: string,
  settings: Partial<ArchiveSettings> = {},
): ArchiveSettings {
  const { endpoint, region } = server;
  const url = `s3://${bucket}/${ODD_PREFIX}`;
  return { url, scheme: 's3', required: true, mode: 'push', endpoint, region, forcePathStyle: true, ...settings };
}

/** The SDK finds these in the environment, as it does where it is used. */
export function enter({ accessKeyId, secretAccessKey }: Credentials): void {
  process.env['AWS_ACCESS_KEY_ID'] = accessKeyId;
  process.env['AWS_SECRET_ACCESS_KEY'] = secretAccessKey;
}

export type Connect = (archive: ArchiveSettings) => Promise<Storage>;

/** `connect` here and in the executable, for the one who may do all. */
export const RUNTIMES: readonly (readonly [string, Connect])[] = [
  [
    'on Node',
    async (archive) => {
      enter((await minio()).root);
      return connect(archive);
    },
  ],
  [
    'in the executable',
    async (archive) => {
      const { accessKeyId, secretAccessKey } = (await minio()).root;
      return connectInExecutable(archive, { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey });
    },
  ],
];

/** An archive in a new bucket of a real MinIO. */
export async function makeS3Place(
  settings: Partial<ArchiveSettings> = {},
  open: Connect = connect,
  options: BucketOptions = {},
): Promise<Place & { archive: ArchiveSettings; bucket: string; server: Minio }> {
  const server = await minio();
  enter(server.root);
  const bucket = await server.makeBucket(undefined, options);
  const archive = s3Archive(server, bucket, settings);
  const root = archive.url.slice(`s3://${bucket}/`.length);
  return {
    server,
    bucket,
    archive,
    storage: await open(archive),
    another: () => open(archive),
    missing: async () => ({
      storage: await open(s3Archive(server, `${bucket}-nowhere`, settings)),
      kind: 'configuration',
    }),
    fill: (keys) =>
      fillBucket(
        server.eye,
        bucket,
        keys.map((key) => `${root}/${key}`),
      ),
    apart: () => connectInOwnExecutable(archive, environment(server.root)),
    atPrefix: (prefix) => open({ ...archive, url: `${archive.url}/${prefix}` }),
    denied: async () => connectInOwnExecutable(archive, environment(await server.makeUser())),
    // Each object is one request: the server keeps nothing of one that was not whole.
    leftovers: async () => {
      const uploads: string[] = [];
      for await (const { key } of server.client.listIncompleteUploads(bucket, '', true) as AsyncIterable<{
        key: string;
      }>) {
        uploads.push(key);
      }
      return uploads;
    },
    // The server's directory goes with it.
    remove: () => Promise.resolve(),
  };
}

function environment({ accessKeyId, secretAccessKey }: Credentials): Record<string, string> {
  return { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
}
