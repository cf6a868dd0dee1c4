import type { Answer } from '../harness/net/http-messages.ts';

/** What the service says, in the forms that its documentation and its answers have. */

const JSON_TYPE = { 'content-type': 'application/json; charset=UTF-8' };

export function json(body: unknown, status = 200): Answer {
  return { status, headers: JSON_TYPE, body: JSON.stringify(body) };
}

/** https://cloud.google.com/storage/docs/json_api/v1/status-codes */
export function refusal(status: number, reason: string, message = 'a message for people'): Answer {
  return json({ error: { code: status, message, errors: [{ message, domain: 'global', reason }] } }, status);
}

/** Downloads are refused in plain text that calls itself HTML. */
export function mediaRefusal(status: number, message: string): Answer {
  return { status, headers: { 'content-type': 'text/html; charset=UTF-8', server: 'UploadServer' }, body: message };
}

export interface ResourceFields {
  readonly name: string;
  readonly size?: string;
  readonly timeCreated?: string;
  readonly md5Hash?: string;
  readonly crc32c?: string;
}

export function resource(fields: ResourceFields): Record<string, unknown> {
  return { kind: 'storage#object', size: '5', timeCreated: '2026-11-26T09:54:48.148Z', ...fields };
}

export function page(names: readonly string[], nextPageToken?: string): Answer {
  const items = names.map((name) => resource({ name }));
  return json({ kind: 'storage#objects', ...(names.length > 0 && { items }), ...(nextPageToken && { nextPageToken }) });
}

export const NO_OBJECT = mediaRefusal(404, 'No such object: bucket/prefix/key');
export const NO_BUCKET = refusal(404, 'notFound', 'The specified bucket does not exist.');
export const EMPTY_PAGE = page([]);
export const DENIED_LISTING = refusal(
  403,
  'forbidden',
  "a@b.iam.gserviceaccount.com does not have storage.objects.list access to the Google Cloud Storage bucket. Permission 'storage.objects.list' denied on resource (or it may not exist).",
);

export function download(bytes: string, headers: Record<string, string> = {}): Answer {
  return {
    status: 200,
    headers: {
      'content-type': 'application/octet-stream',
      'x-goog-hash': 'crc32c=mnG7TA==,md5=XUFAKrxLKna5cZ2REBfFkg==',
      'x-goog-generation': '1777369647609324',
      'x-goog-metageneration': '1',
      'x-goog-stored-content-encoding': 'identity',
      'x-goog-stored-content-length': String(bytes.length),
      'last-modified': 'Tue, 28 Apr 2026 09:47:27 GMT',
      ...headers,
    },
    body: bytes,
  };
}
