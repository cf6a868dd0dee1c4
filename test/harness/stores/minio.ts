import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { join } from 'node:path';
import { Client, type ClientOptions } from 'minio';

import { storeProgram } from '../need.ts';
import type { Certificates } from '../net/certificates.ts';
import { sealForMinio } from './minio-sealed.ts';
import { waitFor } from '../wait.ts';
import { newName, shared, StoreServer, type Eye, type Store } from './server.ts';

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface BucketOptions {
  readonly versioning?: boolean;
  /** Versioned as well, since S3 locks versions. */
  readonly objectLock?: boolean;
}

/** A policy document as S3's IAM has it; `Version` is filled in. */
export interface Policy {
  readonly Statement: readonly {
    readonly Effect: 'Allow' | 'Deny';
    readonly Action: readonly string[];
    readonly Resource: readonly string[];
    readonly Condition?: Readonly<Record<string, Readonly<Record<string, string | readonly string[]>>>>;
  }[];
}

const REGION = 'eu-central-1';
/** A host below it names a bucket: virtual-host addressing. No resolver knows it. */
export const MINIO_DOMAIN = 'store.test';
const READY_LIMIT_MS = 60_000;
const POLICY_VERSION = '2012-10-17';

/** MinIO, asked by its own client beside the one under test. */
export class Minio implements Store {
  readonly server: StoreServer;
  readonly region = REGION;
  readonly root: Credentials;
  readonly client: Client;
  readonly eye: Eye;

  constructor(server: StoreServer, root: Credentials, tls?: Certificates) {
    this.server = server;
    this.root = root;
    this.client = new Client(wayTo(server, root, tls));
    this.eye = eyeOf(this.client);
  }

  get endpoint(): string {
    return this.server.endpoint;
  }

  /** Makes an empty bucket and gives its name. */
  async makeBucket(name = newName('bucket'), options: BucketOptions = {}): Promise<string> {
    const { versioning = false, objectLock = false } = options;
    await this.client.makeBucket(name, REGION, { ObjectLocking: objectLock });
    if (versioning && !objectLock) await this.client.setBucketVersioning(name, { Status: 'Enabled' });
    return name;
  }

  /** Makes a user who may do what this policy allows, and nothing else. Without one: nothing. */
  async makeUser(policy?: Policy): Promise<Credentials> {
    const user = { accessKeyId: newName('user'), secretAccessKey: randomBytes(20).toString('hex') };
    const secret = JSON.stringify({ secretKey: user.secretAccessKey, status: 'enabled' });
    const sealed = sealForMinio(this.root.secretAccessKey, Buffer.from(secret));
    await this.#administer('add-user', `accessKey=${user.accessKeyId}`, sealed);
    if (policy === undefined) return user;
    const name = `policy-of-${user.accessKeyId}`;
    const document = JSON.stringify({ Version: POLICY_VERSION, ...policy });
    await this.#administer('add-canned-policy', `name=${name}`, Buffer.from(document));
    const attached = `policyName=${name}&userOrGroup=${user.accessKeyId}&isGroup=false`;
    await this.#administer('set-user-or-group-policy', attached);
    return user;
  }

  /** Calls of MinIO's own administration are signed as those of S3 are, in a bucket that is none. */
  async #administer(call: string, query: string, body: Buffer = Buffer.alloc(0)): Promise<void> {
    const target = { method: 'PUT', bucketName: 'minio', objectName: `admin/v3/${call}`, query };
    await this.client.makeRequestAsyncOmit(target, body, [200], REGION);
  }
}

function eyeOf(client: Client): Eye {
  return {
    put: async (bucket, key, bytes) => {
      await client.putObject(bucket, key, Buffer.from(bytes));
    },
    read: async (bucket, key) => {
      const pieces: Buffer[] = [];
      for await (const piece of await client.getObject(bucket, key)) pieces.push(Buffer.from(piece as Uint8Array));
      return Buffer.concat(pieces);
    },
    keys: async (bucket, prefix = '') => {
      const keys: string[] = [];
      for await (const item of client.listObjectsV2(bucket, prefix, true)) keys.push((item as { name: string }).name);
      return keys.sort();
    },
    remove: (bucket, key) => client.removeObject(bucket, key),
  };
}

/** The server that all tests of this process share. */
export const minio = shared(() => startMinio());

/** A server of one's own, for what others must not see. With `tls` it speaks nothing else, whatever `endpoint` says. */
export async function startMinio(tls?: Certificates): Promise<Minio> {
  const root = { accessKeyId: 'root', secretAccessKey: randomBytes(20).toString('hex') };
  const server = await StoreServer.start('minio', '/minio/health/ready', (port, directory) => ({
    command: storeProgram('minio'),
    args: [
      'server',
      '--quiet',
      ...certificatesIn(directory, tls),
      '--address',
      `127.0.0.1:${port}`,
      `${directory}/data`,
    ],
    env: {
      MINIO_ROOT_USER: root.accessKeyId,
      MINIO_ROOT_PASSWORD: root.secretAccessKey,
      MINIO_REGION: REGION,
      MINIO_DOMAIN,
      MINIO_BROWSER: 'off',
      MINIO_UPDATE: 'off',
      // Buckets that are encrypted by the server can be made, as most buckets of S3 are.
      MINIO_KMS_SECRET_KEY: `test-key:${randomBytes(32).toString('base64')}`,
      // It refuses to share a disk with the system, without that.
      MINIO_CI_CD: '1',
    },
  }));
  await untilReady(server, root, tls);
  return new Minio(server, root, tls);
}

/** The option that names the server's own certificate, which it finds by the names of its files. */
function certificatesIn(directory: string, tls: Certificates | undefined): string[] {
  if (tls === undefined) return [];
  const certificates = join(directory, 'certificates');
  mkdirSync(certificates, { recursive: true });
  writeFileSync(join(certificates, 'public.crt'), tls.cert);
  writeFileSync(join(certificates, 'private.key'), tls.key);
  return ['--certs-dir', certificates];
}

/** It says that it is ready a moment before it knows its users. */
async function untilReady(server: StoreServer, root: Credentials, tls?: Certificates): Promise<void> {
  const client = new Client({ ...wayTo(server, root, tls), retryOptions: { disableRetry: true } });
  const isReady = (): Promise<boolean> =>
    client.listBuckets().then(
      () => true,
      () => false,
    );
  await waitFor('the first answer of minio to its root', isReady, READY_LIMIT_MS, () => server.log());
}

function wayTo(server: StoreServer, { accessKeyId, secretAccessKey }: Credentials, tls?: Certificates): ClientOptions {
  const credentials = { accessKey: accessKeyId, secretKey: secretAccessKey };
  const secure = tls === undefined ? { useSSL: false } : { useSSL: true, transportAgent: new Agent({ ca: tls.ca }) };
  return { endPoint: '127.0.0.1', port: server.port, region: REGION, ...secure, ...credentials };
}
