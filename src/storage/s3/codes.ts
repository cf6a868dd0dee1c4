import type { Meaning } from '../errors.ts';

const ABSENT: Meaning = { kind: 'absent' };
const EXISTS: Meaning = { kind: 'exists' };
const KEYS: Meaning = {
  kind: 'denied',
  hint: 'The store does not know these credentials, or not with this secret: see what the environment, the profile or the role of this host gives.',
};
const PERMISSION: Meaning = {
  kind: 'denied',
  hint: 'The credentials lack a permission (docs/stores/s3.md lists them); without s3:ListBucket a missing object is answered so as well.',
};
const EXPIRED: Meaning = {
  kind: 'denied',
  hint: 'The session of these credentials has ended: renew them, or let the host get its own (a role).',
};
const CLOCK: Meaning = {
  kind: 'denied',
  // The SDK learns the store's time from this answer and signs the next request by it.
  retryable: true,
  hint: 'The clock of this machine, or of the store, is wrong.',
};
const BUCKET: Meaning = {
  kind: 'configuration',
  hint: 'The bucket of the url does not exist at this endpoint, in this region, or not under this name. It is never created.',
};
const REGION: Meaning = {
  kind: 'configuration',
  hint: 'The bucket is in another region: set region (or endpoint) to the right one.',
};
const PASSING: Meaning = { kind: 'unreachable' };
const SLOW: Meaning = { kind: 'throttled' };
const TRANSIT: Meaning = {
  kind: 'unreachable',
  hint: 'The bytes were changed on their way to the store. Where that goes on, look for a faulty proxy, network card or memory.',
};
const FULL: Meaning = { kind: 'full', hint: 'The store has no room: add some, or raise the quota.' };
const COLD: Meaning = {
  kind: 'unreachable',
  retryable: false,
  hint: 'The object is in an archive tier (Glacier, Deep Archive): restore it, then try again. A lifecycle rule put it there; WAL belongs into a tier that is read at once.',
};
const KMS: Meaning = {
  kind: 'configuration',
  hint: 'The key that the store encrypts with is missing, disabled or unfit: see kms_key, and the default encryption of the bucket.',
};
const UNSUPPORTED: Meaning = {
  kind: 'configuration',
  hint: 'The store does not know what was asked for: the conditional PUT (If-None-Match), without which it can be no archive, or one of sse, kms_key and storage_class.',
};

/**
 * The codes of S3's error answers (API reference, "Error responses"), and of its kin. A code that is not here is
 * judged by its status.
 */
export const BY_CODE: Readonly<Record<string, Meaning>> = {
  NoSuchKey: ABSENT,
  PreconditionFailed: EXISTS,

  AccessDenied: PERMISSION,
  AllAccessDisabled: PERMISSION,
  AccountProblem: { kind: 'denied', hint: 'The account is suspended, or has a problem that its owner must solve.' },
  NotSignedUp: { kind: 'denied', hint: 'The account is not signed up for the store.' },
  UnauthorizedAccess: PERMISSION,
  InvalidAccessKeyId: KEYS,
  SignatureDoesNotMatch: KEYS,
  InvalidSecurity: KEYS,
  InvalidToken: KEYS,
  InvalidTokenId: KEYS,
  InvalidClientTokenId: KEYS,
  ExpiredToken: EXPIRED,
  ExpiredTokenException: EXPIRED,
  TokenRefreshRequired: EXPIRED,
  RequestTimeTooSkewed: CLOCK,
  RequestExpired: CLOCK,

  NoSuchBucket: BUCKET,
  InvalidBucketName: BUCKET,
  PermanentRedirect: REGION,
  AuthorizationHeaderMalformed: REGION,
  IllegalLocationConstraintException: REGION,
  IncorrectEndpoint: REGION,
  InvalidRegion: REGION,
  InvalidStorageClass: UNSUPPORTED,
  InvalidEncryptionAlgorithmError: UNSUPPORTED,
  NotImplemented: UNSUPPORTED,

  /** A bucket that was made a moment ago. */
  TemporaryRedirect: PASSING,
  Redirect: PASSING,
  /** Another conditional request was under way for the same key: neither of the two has decided. */
  ConditionalRequestConflict: PASSING,
  OperationAborted: PASSING,
  InternalError: PASSING,
  InternalServerError: PASSING,
  RequestTimeout: PASSING,
  IncompleteBody: PASSING,
  XMinioServerNotInitialized: PASSING,
  BadDigest: TRANSIT,
  XAmzContentSHA256Mismatch: TRANSIT,
  XAmzContentChecksumMismatch: TRANSIT,
  InvalidObjectState: COLD,

  SlowDown: SLOW,
  SlowDownRead: SLOW,
  SlowDownWrite: SLOW,
  ServiceUnavailable: SLOW,
  ServerBusy: SLOW,
  Throttling: SLOW,
  ThrottlingException: SLOW,
  RequestLimitExceeded: SLOW,
  TooManyRequests: SLOW,
  TooManyRequestsException: SLOW,
  BandwidthLimitExceeded: SLOW,
  'KMS.ThrottlingException': SLOW,

  XMinioStorageFull: FULL,
  XMinioAdminBucketQuotaExceeded: FULL,
  QuotaExceeded: FULL,
  StorageQuotaExceeded: FULL,
  InsufficientCapacity: FULL,
  EntityTooLarge: { kind: 'full', hint: 'The store takes no object of this size.' },

  'KMS.DisabledException': KMS,
  'KMS.NotFoundException': KMS,
  'KMS.KMSInvalidStateException': KMS,
  'KMS.InvalidKeyUsageException': KMS,
  'KMS.InvalidStateException': KMS,
  XMinioKMSNotConfigured: KMS,
  XMinioKMSKeyNotFoundException: KMS,

  XMinioObjectTampered: { kind: 'corrupt', hint: 'The store says that the object was changed behind its back.' },
};

const TOO_LARGE: Meaning = {
  kind: 'configuration',
  hint: 'What stands before the store, a proxy or a load balancer, takes no body of this size: raise its limit (nginx: client_max_body_size).',
};
const FOREIGN = 'It is no answer of an S3 store: is the endpoint right, or does a proxy or a load balancer answer?';

/** What a status alone says, where no code came with it, or one that is not known. */
export function meaningOfStatus(status: number): Meaning {
  if (status === 412) return EXISTS;
  if (status === 401 || status === 403) {
    return { kind: 'denied', hint: 'The store, or something between, refuses the request.' };
  }
  if (status === 429 || status === 503) return SLOW;
  if (status === 507) return FULL;
  if (status === 501) return UNSUPPORTED;
  if (status === 413) return TOO_LARGE;
  if (status === 307 || status === 408 || status === 409) return PASSING;
  if (status >= 300 && status < 400) return REGION;
  if (status === 404 || status < 300) return { kind: 'unreachable', hint: FOREIGN };
  return { kind: 'unreachable', retryable: status >= 500 };
}
