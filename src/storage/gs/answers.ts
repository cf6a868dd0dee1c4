import type { HttpResponse } from '../http/transport.ts';
import type { ListedObject, ObjectInfo } from '../storage.ts';

/** No answer but an object's bytes is longer: a page of a thousand objects is a tenth of it. */
const LONGEST_TEXT_BYTES = 16 * 1024 * 1024;
const MD5_BYTES = 16;
const CRC32C_BYTES = 4;

/** The fields that are asked for. */
export const OBJECT_FIELDS = 'kind,name,size,timeCreated,md5Hash,crc32c';
export const PAGE_FIELDS = 'kind,nextPageToken,items(name,size,timeCreated)';

/** An object's metadata. https://cloud.google.com/storage/docs/json_api/v1/objects#resource */
export interface ObjectResource {
  readonly name: string;
  readonly info: ObjectInfo;
}

export interface Page {
  readonly objects: readonly ListedObject[];
  readonly nextPageToken?: string;
}

/** A body as text. Errors: those of the body, and an Error where it has no end. */
export async function readText(response: HttpResponse): Promise<string> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of response.body) {
    const buffer = piece as Buffer;
    bytes += buffer.length;
    if (bytes > LONGEST_TEXT_BYTES) break;
    pieces.push(buffer);
  }
  return Buffer.concat(pieces).toString();
}

/** The metadata that a text is; undefined where it is none. */
export function parseObject(text: string): ObjectResource | undefined {
  const resource = parseJson(text);
  if (resource?.['kind'] !== 'storage#object') return undefined;
  const listed = parseListed(resource);
  if (listed === undefined) return undefined;
  const { key: name, size, modified } = listed;
  const digest = digestOf(resource['md5Hash'], resource['crc32c']);
  return { name, info: { size, modified, ...(digest && { digest }) } };
}

/** The page of a listing that a text is, with names for keys; undefined where it is none. */
export function parsePage(text: string): Page | undefined {
  const page = parseJson(text);
  if (page?.['kind'] !== 'storage#objects') return undefined;
  const { items = [], nextPageToken } = page;
  if (!Array.isArray(items)) return undefined;
  const objects = items.map((item: unknown) => (isRecord(item) ? parseListed(item) : undefined));
  if (!objects.every((object) => object !== undefined)) return undefined;
  if (nextPageToken === undefined || nextPageToken === '') return { objects };
  return typeof nextPageToken === 'string' ? { objects, nextPageToken } : undefined;
}

/**
 * What the head of a download says of the object; undefined where it is not the service's. A generation is the
 * microsecond in which the object was made, as seen and not documented: it stands in where no time is given.
 */
export function parseHead({ headers }: HttpResponse): ObjectInfo | undefined {
  const generation = headers['x-goog-generation'];
  const size = parseSize(headers['x-goog-stored-content-length'] ?? headers['content-length']);
  const modified = parseTime(headers['last-modified'] ?? Number(generation) / 1_000);
  if (generation === undefined || size === undefined || modified === undefined) return undefined;
  const hashes = new Map((headers['x-goog-hash'] ?? '').split(',').map(splitHash));
  const digest = digestOf(hashes.get('md5'), hashes.get('crc32c'));
  return { size, modified, ...(digest && { digest }) };
}

function splitHash(text: string): [string, string] {
  const [name = '', ...value] = text.trim().split('=');
  return [name, value.join('=')];
}

/** MD5 first: CRC-32C takes thirty times as long here. The service has none of a composed object's, which is not ours. */
function digestOf(md5: unknown, crc32c: unknown): ObjectInfo['digest'] {
  const md5Value = parseBase64(md5, MD5_BYTES);
  if (md5Value !== undefined) return { algorithm: 'md5', value: md5Value };
  const crc32cValue = parseBase64(crc32c, CRC32C_BYTES);
  return crc32cValue === undefined ? undefined : { algorithm: 'crc32c', value: crc32cValue };
}

function parseListed(item: Record<string, unknown>): ListedObject | undefined {
  const { name, size: sizeText, timeCreated } = item;
  const size = parseSize(sizeText);
  const modified = parseTime(timeCreated);
  if (typeof name !== 'string' || size === undefined || modified === undefined) return undefined;
  return { key: name, size, modified };
}

function parseSize(text: unknown): number | undefined {
  return typeof text === 'string' && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** To the second, as the head of a download gives it: a time must not depend on how it was asked for. */
function parseTime(time: unknown): Date | undefined {
  if (typeof time !== 'string' && typeof time !== 'number') return undefined;
  const ms = new Date(time).getTime();
  return Number.isNaN(ms) ? undefined : new Date(Math.floor(ms / 1_000) * 1_000);
}

function parseBase64(text: unknown, length: number): Uint8Array | undefined {
  if (typeof text !== 'string') return undefined;
  const bytes = Buffer.from(text, 'base64');
  return bytes.length === length ? bytes : undefined;
}

function parseJson(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
