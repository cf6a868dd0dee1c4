import { StorageError, type StorageErrorKind } from '../../../src/storage/errors.ts';
import type { DigestAlgorithm, ListedObject, ObjectInfo } from '../../../src/storage/storage.ts';

export type WireError =
  | {
      readonly type: 'storage';
      readonly kind: StorageErrorKind;
      readonly message: string;
      readonly hint: string;
      readonly retryable: boolean;
      readonly retryAfterMs?: number;
      readonly cause?: WireError;
    }
  /** What the source of a body threw on the caller's side, which keeps it under this number. */
  | { readonly type: 'source'; readonly number: number }
  | {
      readonly type: 'other';
      readonly name: string;
      readonly message: string;
      readonly stack: string;
      readonly cause?: WireError;
    };

export interface WireInfo {
  readonly size: number;
  readonly modified: number;
  readonly digest?: { readonly algorithm: DigestAlgorithm; readonly base64: string };
}

export interface WireObject {
  readonly key: string;
  readonly size: number;
  readonly modified: number;
}

/** In the executable, in place of what a body's source threw elsewhere. */
class SourceFailure extends Error {
  readonly number: number;

  constructor(number: number) {
    super('the source of the body failed');
    this.number = number;
  }
}

export function errorToWire(error: unknown): WireError {
  if (error instanceof SourceFailure) return { type: 'source', number: error.number };
  if (!(error instanceof Error)) return { type: 'other', name: 'Error', message: String(error), stack: '' };
  const { name, message, stack = '' } = error;
  const cause = error.cause === undefined ? {} : { cause: errorToWire(error.cause) };
  if (!(error instanceof StorageError)) return { type: 'other', name, message, stack, ...cause };
  const { kind, hint, retryable, retryAfterMs } = error;
  const pause = retryAfterMs === undefined ? {} : { retryAfterMs };
  return { type: 'storage', kind, message, hint, retryable, ...pause, ...cause };
}

export function errorFromWire(error: WireError): Error {
  if (error.type === 'source') return new SourceFailure(error.number);
  const cause = error.cause === undefined ? {} : { cause: errorFromWire(error.cause) };
  if (error.type === 'storage') return new StorageError(error.kind, error.message, { ...error, ...cause });
  const made = error.name === 'TypeError' ? new TypeError(error.message, cause) : new Error(error.message, cause);
  return Object.assign(made, { name: error.name, stack: error.stack });
}

/** A StorageError as a deadline has it. */
export function storageErrorFromWire(error: WireError): StorageError {
  const made = errorFromWire(error);
  if (made instanceof StorageError) return made;
  return new StorageError('unreachable', made.message, { cause: made, retryable: false });
}

export function infoToWire({ size, modified, digest }: ObjectInfo): WireInfo {
  if (digest === undefined) return { size, modified: modified.getTime() };
  const { algorithm, value } = digest;
  const base64 = Buffer.from(value).toString('base64');
  return { size, modified: modified.getTime(), digest: { algorithm, base64 } };
}

export function infoFromWire({ size, modified, digest }: WireInfo): ObjectInfo {
  if (digest === undefined) return { size, modified: new Date(modified) };
  const { algorithm, base64 } = digest;
  return { size, modified: new Date(modified), digest: { algorithm, value: Buffer.from(base64, 'base64') } };
}

export function objectToWire({ key, size, modified }: ListedObject): WireObject {
  return { key, size, modified: modified.getTime() };
}

export function objectFromWire({ key, size, modified }: WireObject): ListedObject {
  return { key, size, modified: new Date(modified) };
}
