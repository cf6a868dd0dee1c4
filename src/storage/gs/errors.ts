import { StorageError, type Meaning } from '../errors.ts';
import { retryAfter } from '../http/retry-after.ts';
import type { HttpResponse } from '../http/transport.ts';
import { readText } from './answers.ts';

/** An answer that is not what was asked for. */
export interface Refusal {
  /** Of HTTP. */
  readonly status: number;
  /** The service's own word; undefined where the answer is not in its form, as for downloads, or not its own. */
  readonly reason?: string;
  /** What it says to people; never looked at. */
  readonly message: string;
  readonly retryAfterMs?: number;
}

const CREDENTIALS: Meaning = {
  kind: 'denied',
  hint: 'The credentials are expired, revoked or not for this service: see Application Default Credentials.',
};
const FORBIDDEN: Meaning = {
  kind: 'denied',
  hint: 'The account needs storage.objects.create and .get to push, .get and .list to fetch, .list and .delete to prune.',
};
const BILLING: Meaning = {
  kind: 'denied',
  hint: "The project's account is disabled: look at its billing in the Google Cloud console.",
};
const RETAINED: Meaning = {
  kind: 'denied',
  hint: 'A retention policy or a hold of the bucket keeps this object: it can be deleted when that has ended.',
};
const ORGANISATION: Meaning = { kind: 'denied', hint: "A constraint of the organisation's policy forbids this." };
const THROTTLED: Meaning = { kind: 'throttled', hint: 'The service asks for fewer requests.' };
const QUOTA: Meaning = {
  kind: 'throttled',
  hint: 'A quota of the project is used up: see IAM & Admin, Quotas, in the Google Cloud console.',
};
const KEY: Meaning = {
  kind: 'configuration',
  hint: "kms_key, or the bucket's default key, must be an enabled key in the bucket's location: projects/P/locations/L/keyRings/R/cryptoKeys/K.",
};
const LOCKED: Meaning = {
  kind: 'denied',
  hint: 'The key that encrypts this object is disabled, destroyed or not ours: enable or restore it in Cloud KMS.',
};
const ARGUMENT: Meaning = {
  kind: 'configuration',
  hint: 'The service does not take a parameter: are storage_class, kms_key and the bucket right?',
};
const PROJECT: Meaning = {
  kind: 'configuration',
  hint: 'The bucket makes the requester pay: name the project with GOOGLE_CLOUD_QUOTA_PROJECT.',
};
const DIGEST: Meaning = {
  kind: 'unreachable',
  retryable: true,
  hint: 'What arrived was not what was sent, or a setting as storage_class is not valid; nothing was stored.',
};
const FAILING: Meaning = { kind: 'unreachable', retryable: true };
const REDIRECT: Meaning = {
  kind: 'unreachable',
  retryable: false,
  hint: 'The service does not redirect these requests: a proxy, a login page of a network, or a wrong endpoint does.',
};
const UNKNOWN: Meaning = { kind: 'unreachable', retryable: false };

/**
 * What the reasons of the JSON API mean. Where one is missing, or not here, the status decides.
 * https://cloud.google.com/storage/docs/json_api/v1/status-codes
 */
const REASONS: Readonly<Record<string, Meaning>> = {
  conditionNotMet: { kind: 'exists' },
  orgPolicyConstraintFailed: ORGANISATION,
  forbidden: FORBIDDEN,
  insufficientPermissions: FORBIDDEN,
  authError: CREDENTIALS,
  accountDisabled: BILLING,
  UserProjectAccountProblem: BILLING,
  UserProjectAccessDenied: PROJECT,
  userProjectMissing: PROJECT,
  userProjectInvalid: PROJECT,
  retentionPolicyNotMet: RETAINED,
  objectUnderActiveHold: RETAINED,
  sslRequired: { kind: 'configuration', hint: 'The endpoint must be https://.' },
  rateLimitExceeded: THROTTLED,
  userRateLimitExceeded: THROTTLED,
  quotaExceeded: QUOTA,
  cloudKmsBadKey: KEY,
  cloudKmsEncryptionKeyNotFound: KEY,
  cloudKmsKeyLocationNotAllowed: KEY,
  cloudKmsDisabledKey: LOCKED,
  cloudKmsDecryptionKeyNotFound: LOCKED,
  resourceIsEncryptedWithCustomerEncryptionKey: LOCKED,
  invalid: DIGEST,
  invalidArgument: ARGUMENT,
  invalidParameter: ARGUMENT,
  conflict: FAILING,
  uploadBrokenConnection: FAILING,
  backendError: FAILING,
  internalError: FAILING,
};

/** What a status means by itself. */
function byStatus(status: number): Meaning {
  if (status >= 300 && status < 400) return REDIRECT;
  if (status === 401) return CREDENTIALS;
  if (status === 403) return FORBIDDEN;
  if (status === 429 || status === 503) return THROTTLED;
  // Not the service's word on an object: that is asked for before this.
  if (status === 404 || status === 408 || status >= 500) return FAILING;
  return UNKNOWN;
}

/** The error that a refusal stands for. `what` names the request: "create of gs://bucket/key". */
export function refused(refusal: Refusal, what: string): StorageError {
  const { status, reason, message, retryAfterMs } = refusal;
  // 503 with the general reason is how the service sheds load.
  const meaning = (status === 503 ? undefined : REASONS[reason ?? '']) ?? byStatus(status);
  const said = [reason, message].filter((part) => part !== undefined && part !== '').join(': ');
  return new StorageError(meaning.kind, `${what} was answered with ${status}${said === '' ? '' : ` (${said})`}`, {
    ...meaning,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  });
}

/** Reads a refusal's body to its end. Errors: those of the body. */
export async function readRefusal(response: HttpResponse): Promise<Refusal> {
  const said = parse(await readText(response));
  return { status: response.status, ...said, ...retryAfter(response.headers) };
}

/** An answer that cannot be the service's: a page of a proxy, of a network's login, of another program. */
export function foreign(what: string, fact: string): StorageError {
  return new StorageError('unreachable', `${what} had an answer that is not Cloud Storage's: ${fact}`, {
    hint: 'Is the endpoint right? A proxy or the login page of a network answers like this.',
  });
}

interface ErrorBody {
  readonly error?: { readonly message?: unknown; readonly errors?: readonly { readonly reason?: unknown }[] };
}

const MESSAGE_CHARACTERS = 300;

function parse(text: string): Pick<Refusal, 'reason' | 'message'> {
  try {
    const { error } = JSON.parse(text) as ErrorBody;
    const reason = error?.errors?.[0]?.reason;
    const message = typeof error?.message === 'string' ? error.message : '';
    return { message: shown(message), ...(typeof reason === 'string' && { reason }) };
  } catch {
    // Downloads are refused in plain text, and a page of HTML says nothing in its first line.
    return { message: text.includes('<') ? '' : shown(text) };
  }
}

function shown(message: string): string {
  const line = message.trim().split(/[\r\n]/, 1)[0] ?? '';
  return line.length > MESSAGE_CHARACTERS ? `${line.slice(0, MESSAGE_CHARACTERS)}...` : line;
}
