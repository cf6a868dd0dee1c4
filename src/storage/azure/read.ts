import type { Deadline } from '../deadline.ts';
import { StorageError } from '../errors.ts';
import type { ObjectInfo, StoredObject } from '../storage.ts';
import { Call } from './call.ts';
import type { Client } from './client.ts';

/**
 * Size and time, and the MD5 where it is the service's own. Only a Put Blob's is: the service computes it over what it
 * has received. After a Put Block List, or a Set Blob Properties, the header holds what a client said. So the MD5 counts
 * only while the blob is still the one that our own Put Blob made, by its ETag, which every change changes.
 */
export async function headBlob(
  client: Client,
  key: string,
  deadline: Deadline,
  ours: string | undefined,
): Promise<ObjectInfo> {
  const call = new Call({ verb: 'head', key, container: client.container }, deadline);
  try {
    await call.ask((abortSignal) => client.blob(key).getProperties({ abortSignal }));
    const headers = call.answer?.headers ?? {};
    const md5 = Buffer.from(headers['content-md5'] ?? '', 'base64');
    const isOurs = ours !== undefined && headers['etag'] === ours && md5.length === 16;
    return { ...infoOf(call), ...(isOurs && { digest: { algorithm: 'md5', value: md5 } }) };
  } finally {
    call.close();
  }
}

/** Opens a blob. Its bytes are those of one request: where that breaks off, they throw. */
export async function getBlob(client: Client, key: string, deadline: Deadline): Promise<StoredObject> {
  const call = new Call({ verb: 'get', key, container: client.container }, deadline);
  try {
    const { readableStreamBody } = await call.ask((abortSignal) =>
      client.blob(key).download(0, undefined, { abortSignal, maxRetryRequests: 0 }),
    );
    if (readableStreamBody === undefined) throw new Error('the SDK gives no stream');
    // It may fail before anybody reads it; whoever reads it then is told.
    readableStreamBody.on('error', () => undefined);
    const info = infoOf(call);
    return { info, bytes: read(call, readableStreamBody, info.size) };
  } catch (error) {
    call.close();
    throw error;
  }
}

async function* read(
  call: Call,
  stream: NodeJS.ReadableStream,
  size: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let total = 0;
  try {
    for await (const piece of stream as AsyncIterable<Uint8Array>) {
      total += piece.length;
      yield piece;
    }
  } catch (error) {
    throw call.brokenOff(error);
  } finally {
    call.close();
  }
  if (total !== size) throw call.brokenOff(undefined);
}

function infoOf({ question, answer }: Call): ObjectInfo {
  const { 'content-length': length = '', 'last-modified': time = '' } = answer?.headers ?? {};
  const size = Number(length);
  const modified = new Date(time);
  if (length !== '' && Number.isSafeInteger(size) && !Number.isNaN(modified.getTime())) return { size, modified };
  throw new StorageError('unreachable', `${question.verb} of ${question.key}: no size or no time in the answer`);
}
