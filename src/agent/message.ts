/**
 * What wal-push and wal-fetch say to the agent, and what it answers: a line of JSON each way. The agent's lines are
 * `{}` for as long as it works, and then one answer. Both sides are this program, in the same version, and of the
 * same user; still nothing is taken for what it should be without a look.
 */
import { STATUS, type FailureKind } from '../exit.ts';
import type { DirectoryId } from './where.ts';

/** A file as a look at it told, so that a claim about it is about exactly these bytes. Decimal numbers, times in ns. */
export interface FileId {
  readonly dev: string;
  readonly ino: string;
  readonly size: string;
  readonly mtime: string;
  readonly ctime: string;
}

/** On whose behalf a request is made. What differs from the agent's own is not for it. */
export interface Requester {
  /** The version, and which file of it. */
  readonly program: { readonly version: string; readonly file: string };
  readonly dataDirectory: DirectoryId;
  /** The settings file: its path, and all that is in it. */
  readonly settings: { readonly path: string; readonly text: string };
  /** The variables that credentials and the way to a store can come from. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface Request extends Requester {
  /** A file in pg_wal that the server wants archived. */
  readonly push?: { readonly name: string; readonly file: FileId };
  /** A segment that the server wants restored. */
  readonly fetch?: { readonly name: string };
}

export type Answer =
  /** Stored and verified, or proven identical. */
  | { readonly is: 'stored'; readonly warnings: readonly string[] }
  /** The right file, whole, lies in pg_wal under this name, to be renamed. */
  | { readonly is: 'fetched'; readonly temporary: string; readonly file: FileId; readonly warnings: readonly string[] }
  | {
      readonly is: 'failed';
      readonly kind: FailureKind;
      readonly message: string;
      readonly hint: string;
      /** What the settings say of a standby that is about to promote: the status depends on it. */
      readonly onPromote: 'stop' | 'promote';
      readonly warnings: readonly string[];
    }
  /** The agent does not do this one: whoever asked works alone. */
  | { readonly is: 'yours'; readonly why: string };

/** How often the agent says that it is at work. */
export const SIGN_OF_LIFE_MS = 1_000;
/** After so long without a word from the agent, whoever asked works alone. */
export const SILENCE_MS = 4_000;
/** Settings of 1 MiB at most, and an environment. */
export const REQUEST_MAX_BYTES = 4 * 1024 * 1024;

export const AT_WORK = '{}';

/** An answer; undefined for a sign of life. Errors: SyntaxError where it is neither. */
export function parseAnswer(line: string): Answer | undefined {
  const value: unknown = JSON.parse(line);
  if (isRecord(value)) {
    if (Object.keys(value).length === 0) return undefined;
    if (isAnswer(value)) return value;
  }
  throw new SyntaxError('the agent answered something else than an answer');
}

function isAnswer(value: Readonly<Record<string, unknown>>): value is Answer & Record<string, unknown> {
  switch (value['is']) {
    case 'stored':
      return areTexts(value['warnings']);
    case 'fetched':
      return areTexts(value['warnings']) && typeof value['temporary'] === 'string' && isFileId(value['file']);
    case 'failed':
      return (
        areTexts(value['warnings']) &&
        hasTexts(value, 'kind', 'message', 'hint') &&
        Object.hasOwn(STATUS, String(value['kind'])) &&
        (value['onPromote'] === 'stop' || value['onPromote'] === 'promote')
      );
    case 'yours':
      return typeof value['why'] === 'string';
    default:
      return false;
  }
}

/** A request. Errors: SyntaxError where it is none. */
export function parseRequest(line: string): Request {
  const value: unknown = JSON.parse(line);
  if (isRecord(value) && isRequest(value)) return value;
  throw new SyntaxError('this is no request');
}

function isRequest(value: Readonly<Record<string, unknown>>): value is Request & Record<string, unknown> {
  const { program, dataDirectory, settings, environment, push, fetch } = value;
  return (
    hasTexts(program, 'version', 'file') &&
    hasTexts(dataDirectory, 'dev', 'ino') &&
    hasTexts(settings, 'path', 'text') &&
    isRecord(environment) &&
    areTexts(Object.values(environment)) &&
    (push === undefined || (hasTexts(push, 'name') && isFileId(push['file']))) &&
    (fetch === undefined || hasTexts(fetch, 'name'))
  );
}

function isFileId(value: unknown): value is FileId {
  return hasTexts(value, 'dev', 'ino', 'size', 'mtime', 'ctime');
}

/** Whether two looks saw the same bytes. */
export function isSameFile(one: FileId, other: FileId): boolean {
  return (
    one.dev === other.dev &&
    one.ino === other.ino &&
    one.size === other.size &&
    one.mtime === other.mtime &&
    one.ctime === other.ctime
  );
}

function hasTexts(value: unknown, ...keys: string[]): value is Record<string, unknown> {
  return isRecord(value) && keys.every((key) => typeof value[key] === 'string');
}

function areTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
