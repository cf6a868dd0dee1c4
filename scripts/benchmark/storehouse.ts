import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { certificates } from '../../test/harness/net/certificates.ts';
import { killWithUs } from '../../test/harness/scratch.ts';
import { startMinio, type Credentials, type Minio } from '../../test/harness/stores/minio.ts';

/** Where objects are kept. */
export type Storehouse = DirectoryStorehouse | BucketStorehouse;

export interface DirectoryStorehouse {
  readonly kind: 'file';
  readonly directory: string;
}

/** A bucket of a real MinIO, which speaks TLS alone, since pgBackRest does. */
export interface BucketStorehouse {
  readonly kind: 's3';
  readonly bucket: string;
  readonly region: string;
  readonly credentials: Credentials;
  /** Of the relay before the server, at 127.0.0.1. */
  readonly port: number;
  /** PEM of the authority that the server's certificate is from. */
  readonly authority: string;
  readonly minio: Minio;
}

/** The directory of one that is a directory. */
export function directoryOf(storehouse: Storehouse): string {
  if (storehouse.kind !== 'file') throw new Error('a bucket is no directory');
  return storehouse.directory;
}

/** Environment variables of AWS for a bucket; none for a directory. */
export function credentialsFor(storehouse: Storehouse): Record<string, string> {
  if (storehouse.kind === 'file') return {};
  const { accessKeyId, secretAccessKey } = storehouse.credentials;
  return { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
}

/** The names of all that lies in it. */
export async function keysOf(storehouse: Storehouse): Promise<string[]> {
  if (storehouse.kind === 's3') return storehouse.minio.eye.keys(storehouse.bucket);
  return readdirSync(storehouse.directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

/** Empties a bucket, and removes it; a directory goes with its ground. */
export async function removeStorehouse(storehouse: Storehouse): Promise<void> {
  if (storehouse.kind === 'file') return;
  const { minio, bucket } = storehouse;
  const keys = await minio.eye.keys(bucket);
  if (keys.length > 0) await minio.client.removeObjects(bucket, keys);
  await minio.client.removeBucket(bucket);
}

/** One MinIO, and relays before it: one for each latency. */
export class Buckets {
  readonly #minio: Minio;
  readonly #ports = new Map<number, number>();

  private constructor(minio: Minio) {
    this.#minio = minio;
  }

  static async start(): Promise<Buckets> {
    return new Buckets(await startMinio(certificates()));
  }

  async make(latencyMs: number): Promise<BucketStorehouse> {
    const minio = this.#minio;
    const bucket = await minio.makeBucket();
    return this.at(latencyMs, {
      kind: 's3',
      bucket,
      minio,
      region: minio.region,
      credentials: minio.root,
      port: minio.server.port,
      authority: certificates().ca,
    });
  }

  /** The same bucket, with another latency before it. */
  async at(latencyMs: number, storehouse: BucketStorehouse): Promise<BucketStorehouse> {
    let port = this.#ports.get(latencyMs);
    if (port === undefined) {
      port = await startRelay(this.#minio.server.port, latencyMs);
      this.#ports.set(latencyMs, port);
    }
    return { ...storehouse, port };
  }
}

/** A process of its own: what it costs must not slow down what we look at. Returns its port. */
async function startRelay(port: number, latencyMs: number): Promise<number> {
  const program = join(import.meta.dirname, 'delay-relay.ts');
  const child = spawn(process.execPath, [program, String(port), String(latencyMs)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  child.unref();
  if (child.pid !== undefined) killWithUs(child.pid);
  const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string];
  child.stdout.destroy();
  return Number(line);
}
