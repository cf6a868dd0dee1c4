import type { Deadline } from '../deadline.ts';
import { StorageError } from '../errors.ts';
import type { HttpResponse } from '../http/transport.ts';
import type { ObjectInfo, StoredObject } from '../storage.ts';
import { explainMissing } from './absence.ts';
import { OBJECT_FIELDS, parseHead, parseObject, readText } from './answers.ts';
import type { Client } from './client.ts';
import { foreign, readRefusal, refused } from './errors.ts';

/** The bytes as they are stored: the service would unpack what says that it is packed. */
const AS_STORED = { 'accept-encoding': 'gzip' };

/** Opens an object with one request; a second one where it is not there. */
export async function getObject(client: Client, key: string, deadline: Deadline): Promise<StoredObject> {
  const what = client.what('get', key);
  const request = { method: 'GET', url: client.place.media(key), headers: AS_STORED };
  const response = await client.send(request, deadline);
  if (response.status !== 200) throw await explain(client, key, what, response, deadline);
  const info = parseHead(response);
  if (info === undefined) {
    response.body.destroy();
    throw foreign(what, 'a 200 without the headers of an object');
  }
  return { info, bytes: read(response, info.size, what) };
}

/** Size, time and digest, in one request. */
export async function headObject(client: Client, key: string, deadline: Deadline): Promise<ObjectInfo> {
  const what = client.what('head', key);
  const url = client.place.object(key, { fields: OBJECT_FIELDS });
  const response = await client.send({ method: 'GET', url, headers: {} }, deadline);
  if (response.status !== 200) throw await explain(client, key, what, response, deadline);
  const object = parseObject(await readText(response));
  if (object?.name !== client.place.nameOf(key)) throw foreign(what, 'a 200 that describes no such object');
  return object.info;
}

async function explain(
  client: Client,
  key: string,
  what: string,
  response: HttpResponse,
  deadline: Deadline,
): Promise<StorageError> {
  const refusal = await readRefusal(response);
  return refusal.status === 404 ? explainMissing(client, key, deadline) : refused(refusal, what);
}

/** The transport tells a body that is cut; this one, a body that is another than the stored one. */
async function* read({ body }: HttpResponse, size: number, what: string): AsyncGenerator<Uint8Array, void, undefined> {
  let total = 0;
  for await (const piece of body) {
    const bytes = piece as Buffer;
    total += bytes.length;
    if (total > size) throw changed(what, size, `at least ${total}`);
    yield bytes;
  }
  if (total !== size) throw changed(what, size, String(total));
}

function changed(what: string, size: number, given: string): StorageError {
  return new StorageError('corrupt', `${what}: ${size} bytes are stored, and ${given} were given`, {
    hint: 'Something between here and the store changes what it holds, as proxies that unpack do.',
  });
}
