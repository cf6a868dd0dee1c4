import { StorageError, type Meaning } from '../errors.ts';
import { retryAfter } from '../http/retry-after.ts';
import { BY_CODE, meaningOfStatus } from './codes.ts';
import type { Heard } from './handler.ts';

/** An answer of the store that is not what was asked for. */
export interface Refusal {
  readonly status: number;
  /** As the answer's body has it; an answer to HEAD has none. */
  readonly code: string | undefined;
  /** In the store's words, for people only. */
  readonly text: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** Where the store says the bucket is. */
  readonly region: string | undefined;
  readonly cause: unknown;
}

const LONGEST_TEXT = 300;

/** What the SDK threw, taken apart; undefined where the store has not answered at all. */
export function refusalOf(error: unknown, { answer }: Heard): Refusal | undefined {
  if (answer === undefined || !(error instanceof Error)) return undefined;
  const { status, headers } = answer;
  // The SDK's own `name` is a guess where the body holds no code: a 404 page would be called NotFound.
  const code = textOf(error, 'Code');
  return {
    status,
    code,
    text: code === undefined ? undefined : shortened(error.message),
    headers,
    region: textOf(error, 'Region') ?? headers['x-amz-bucket-region'],
    cause: error,
  };
}

/** The StorageError that a refusal stands for; `doing` says what was asked for, as messages name it. */
export function refused(refusal: Refusal, doing: string): StorageError {
  if (refusal.headers['x-amz-delete-marker'] === 'true') return deleted(refusal, doing);
  const meaning = meaningOf(refusal);
  return new StorageError(meaning.kind, `cannot ${doing}: ${reason(refusal)}`, {
    ...meaning,
    cause: refusal.cause,
    ...retryAfter(refusal.headers),
  });
}

function meaningOf({ code, status }: Refusal): Meaning {
  // A known code is one of a store's: other XML may have a Code too.
  const known = code !== undefined && Object.hasOwn(BY_CODE, code) ? BY_CODE[code] : undefined;
  if (known !== undefined) return known;
  // S3 may begin with 200 and find out later that it can't.
  return meaningOfStatus(code !== undefined && status < 300 ? 500 : status);
}

function reason({ code, status, text, region, headers }: Refusal): string {
  const parts = [
    code === undefined ? `status ${status}` : `${code} (${status})`,
    ...(text === undefined || text === code ? [] : [text]),
    ...(region === undefined ? [] : [`the bucket is in region ${region}`]),
    ...(headers['x-amz-request-id'] === undefined ? [] : [`request ${headers['x-amz-request-id']}`]),
  ];
  return parts.join('; ');
}

/** A versioned bucket keeps what was deleted behind a marker: that object was here, so it is not absent. */
function deleted({ status, cause }: Refusal, doing: string): StorageError {
  return new StorageError('corrupt', `cannot ${doing}: it was here, and was deleted (${status}, a delete marker)`, {
    cause,
    hint: 'The bucket keeps old versions: remove the delete marker and it is back (docs/stores/s3.md shows how). Then find out who deleted it.',
  });
}

function textOf(error: object, name: string): string | undefined {
  const value: unknown = Reflect.get(error, name);
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function shortened(text: string): string {
  return text
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim()
    .slice(0, LONGEST_TEXT);
}
