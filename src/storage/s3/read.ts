import { Readable } from 'node:stream';

import { sdk } from '#s3-sdk';

import type { Deadline } from '../deadline.ts';
import { StorageError } from '../errors.ts';
import type { ObjectInfo, StoredObject } from '../storage.ts';
import type { Client } from './client.ts';
import type { Place } from './place.ts';
import { refused, type Refusal } from './refusal.ts';

/** What an answer says of an object. */
interface Described {
  readonly ContentLength?: number | undefined;
  readonly LastModified?: Date | undefined;
  readonly ChecksumSHA256?: string | undefined;
  readonly ChecksumCRC32C?: string | undefined;
  readonly ChecksumType?: string | undefined;
}

/** An answer to HEAD has no body, and so no code, where the store refuses it with one of these. */
const NEEDS_CODE: ReadonlySet<number> = new Set([400, 403, 404]);

export async function getObject(client: Client, place: Place, key: string, deadline: Deadline): Promise<StoredObject> {
  const doing = `get ${place.url}/${key}`;
  const output = await client.ask(
    new sdk.GetObjectCommand({ Bucket: place.bucket, Key: place.full(key) }),
    doing,
    deadline,
  );
  const { Body: body } = output;
  if (!(body instanceof Readable)) throw new TypeError('the SDK gives a body that is no stream');
  try {
    const info = describe(output, doing);
    return { info, bytes: readAll(body, info.size, doing) };
  } catch (error) {
    body.destroy();
    throw error;
  }
}

/** Size, time, and the checksum that the store has computed of the whole object. */
export async function headObject(client: Client, place: Place, key: string, deadline: Deadline): Promise<ObjectInfo> {
  const doing = `look at ${place.url}/${key}`;
  const command = new sdk.HeadObjectCommand({
    Bucket: place.bucket,
    Key: place.full(key),
    ChecksumMode: 'ENABLED',
  });
  const reply = await client.reply(command, doing, deadline);
  if ('output' in reply) return describe(reply.output, doing);
  throw await headFault(client, place, key, reply.refusal, deadline);
}

/** Why a HEAD was refused: asked by a GET, which needs the same permission, where the answer does not say enough. */
export async function headFault(
  client: Client,
  place: Place,
  key: string,
  refusal: Refusal,
  deadline: Deadline,
): Promise<unknown> {
  const fault = refused(refusal, `look at ${place.url}/${key}`);
  if (fault.kind === 'corrupt' || !NEEDS_CODE.has(refusal.status)) return fault;
  try {
    const { bytes } = await getObject(client, place, key, deadline);
    for await (const _ of bytes) break;
  } catch (error) {
    return error;
  }
  // It has come since, or was refused for a passing reason.
  return new StorageError('unreachable', `${place.url}/${key} was refused to a HEAD, and given to a GET right after`);
}

/** Pieces of the object. The end comes after all of it, or never. */
async function* readAll(body: Readable, size: number, doing: string): AsyncGenerator<Uint8Array, void, undefined> {
  let total = 0;
  for await (const piece of body as AsyncIterable<Uint8Array>) {
    total += piece.length;
    yield piece;
  }
  if (total !== size) {
    throw new StorageError('unreachable', `cannot ${doing}: ${total} of ${size} bytes came`);
  }
}

/** An answer that lacks what S3 always says was given by something else. */
function describe(described: Described, doing: string): ObjectInfo {
  const { ContentLength: size, LastModified: modified } = described;
  if (size === undefined || modified === undefined || Number.isNaN(modified.getTime())) {
    throw new StorageError('unreachable', `cannot ${doing}: the answer has no length or no time`, {
      hint: 'It is no answer of an S3 store: is the endpoint right, or does a proxy answer?',
    });
  }
  return { size, modified, ...digestOf(described) };
}

/** Checksums of multipart uploads are those of their parts' checksums, with the number of parts at the end. */
function digestOf({ ChecksumSHA256, ChecksumCRC32C, ChecksumType }: Described): Pick<ObjectInfo, 'digest'> {
  if (ChecksumType === 'COMPOSITE') return {};
  const sha256 = bytesOf(ChecksumSHA256, 32);
  if (sha256) return { digest: { algorithm: 'sha256', value: sha256 } };
  const crc32c = bytesOf(ChecksumCRC32C, 4);
  if (crc32c) return { digest: { algorithm: 'crc32c', value: crc32c } };
  return {};
}

function bytesOf(base64: string | undefined, length: number): Uint8Array | undefined {
  if (base64 === undefined || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return undefined;
  const bytes = Buffer.from(base64, 'base64');
  return bytes.length === length ? bytes : undefined;
}
