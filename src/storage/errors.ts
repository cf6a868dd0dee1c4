/** What a store can answer instead of doing what it was asked; backends map their codes to these and to nothing else. */
export type StorageErrorKind =
  /** The store itself says that this object does not exist. Never guessed. */
  | 'absent'
  /** The key is taken. */
  | 'exists'
  /** The store refuses us: credentials, permissions. */
  | 'denied'
  /** No answer, a broken one, or not in time. */
  | 'unreachable'
  /** The store asks for fewer requests. */
  | 'throttled'
  /** The store holds or returned something that contradicts itself. */
  | 'corrupt'
  /** The store cannot take more: disk full, quota, read-only. */
  | 'full'
  /** The settings name something that cannot work: no such bucket, not a directory, an unsupported feature. */
  | 'configuration';

/** What a code of a store's means to us: a row of a backend's table. */
export interface Meaning {
  readonly kind: StorageErrorKind;
  /** Default: as the kind has it. */
  readonly retryable?: boolean;
  readonly hint?: string;
}

/** The only error that leaves `src/storage/`. */
export class StorageError extends Error {
  override readonly name = 'StorageError';
  readonly kind: StorageErrorKind;
  /** Whether the same call may succeed when it is made again at once. */
  readonly retryable: boolean;
  /** What the operator can do about it; empty where the message says it all. */
  readonly hint: string;
  /** Milliseconds that the store asked us to wait. */
  readonly retryAfterMs: number | undefined;

  constructor(
    kind: StorageErrorKind,
    message: string,
    options: { cause?: unknown; hint?: string; retryable?: boolean; retryAfterMs?: number } = {},
  ) {
    super(message, { cause: options.cause });
    this.kind = kind;
    this.hint = options.hint ?? '';
    this.retryable = options.retryable ?? (kind === 'unreachable' || kind === 'throttled');
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** How deep a client library may wrap an error. */
const DEEPEST_CAUSE = 8;

/** The StorageError in a chain of causes: client libraries wrap what the transport threw. */
export function storageErrorWithin(error: unknown): StorageError | undefined {
  let inner = error;
  for (let depth = 0; depth < DEEPEST_CAUSE && inner instanceof Error; depth += 1) {
    if (inner instanceof StorageError) return inner;
    inner = inner.cause;
  }
  return undefined;
}
