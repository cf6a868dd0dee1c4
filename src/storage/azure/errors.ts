import { StorageError, type Meaning } from '../errors.ts';
import { retryAfter } from '../http/retry-after.ts';
import type { Answer, Question } from './question.ts';

const CONTAINER: Meaning = {
  kind: 'configuration',
  hint: 'The container must be there before the first push (az storage container create), in the account of the endpoint; one that was deleted may be restored.',
};
const DENIED_CREDENTIALS: Meaning = {
  kind: 'denied',
  hint: "The account's key, the signature's term and text, the tenant of the token, and the clock of this host must be right.",
};
const DENIED_PERMISSION: Meaning = {
  kind: 'denied',
  hint: 'The role or the signature lacks a permission: a push needs create and read, a fetch read and list, prune list and delete as well.',
};
const DENIED_NETWORK: Meaning = {
  kind: 'denied',
  hint: "The account's firewall, a private endpoint, or the signature's addresses and protocol do not admit this host; or the signature lacks a permission.",
};
const DENIED_ACCOUNT: Meaning = {
  kind: 'denied',
  hint: 'The account is disabled, or its reads or writes are switched off: look at it in the portal.',
};
const DENIED_KEY_VAULT: Meaning = {
  kind: 'denied',
  hint: 'The account encrypts with a key of your own, which it cannot use: look at the key vault.',
};
const IMMUTABLE: Meaning = {
  kind: 'denied',
  hint: 'An immutability policy or a legal hold keeps it; it can go when its time is over.',
};
const LEASED: Meaning = {
  kind: 'denied',
  hint: 'Somebody holds a lease on it: break that first (az storage blob lease break).',
};
const OFFLINE: Meaning = {
  kind: 'unreachable',
  retryable: false,
  hint: 'The object is in the archive tier: rehydrate it to an online tier (hours), and exempt WAL from the rule that moved it.',
};
const BUSY: Meaning = { kind: 'throttled', hint: 'The account is at its limit of requests or bandwidth.' };
const TROUBLE: Meaning = { kind: 'unreachable', retryable: true };
const IN_TRANSIT: Meaning = {
  kind: 'unreachable',
  retryable: true,
  hint: 'The bytes were changed on their way: a broken network device or memory.',
};
const NAME: Meaning = {
  kind: 'configuration',
  hint: "The container's name, the prefix or the endpoint is none that the service takes.",
};
const HEADER: Meaning = {
  kind: 'configuration',
  hint: `The account knows no such access tier, or the service is older than its version 2026-02-06.`,
};
const TOO_LARGE: Meaning = {
  kind: 'configuration',
  hint: 'One request stores at most 5000 MiB, some tiers and older services less.',
};
const FULL: Meaning = { kind: 'full', hint: 'The store has no room left, or a quota is reached; nothing was stored.' };
const FOREIGN_KEY: Meaning = {
  kind: 'configuration',
  hint: 'The object was stored with an encryption key of its own, which is not known here.',
};

/**
 * What the service's codes mean (learn.microsoft.com/rest/api/storageservices: "Blob service error codes", "Common REST
 * API error codes"). What is not here is judged by its status.
 */
const CODES: Readonly<Record<string, Meaning>> = {
  BlobNotFound: { kind: 'absent' },
  BlobAlreadyExists: { kind: 'exists' },

  ContainerNotFound: CONTAINER,
  ContainerBeingDeleted: CONTAINER,
  ContainerDisabled: CONTAINER,
  ResourceNotFound: CONTAINER,

  AuthenticationFailed: DENIED_CREDENTIALS,
  InvalidAuthenticationInfo: DENIED_CREDENTIALS,
  NoAuthenticationInformation: DENIED_CREDENTIALS,
  KeyBasedAuthenticationNotPermitted: {
    kind: 'denied',
    hint: 'The account takes no account keys, nor signatures made with them: use a managed identity, a service principal or a user delegation SAS.',
  },
  AuthorizationPermissionMismatch: DENIED_PERMISSION,
  AuthorizationResourceTypeMismatch: DENIED_PERMISSION,
  AuthorizationServiceMismatch: DENIED_PERMISSION,
  UnauthorizedBlobOverwrite: DENIED_PERMISSION,
  PublicAccessNotPermitted: DENIED_PERMISSION,
  AuthorizationFailure: DENIED_NETWORK,
  AuthorizationProtocolMismatch: DENIED_NETWORK,
  AuthorizationSourceIPMismatch: DENIED_NETWORK,
  InsufficientAccountPermissions: DENIED_ACCOUNT,
  AccountIsDisabled: DENIED_ACCOUNT,
  KeyVaultAccessTokenCannotBeAcquired: DENIED_KEY_VAULT,
  KeyVaultEncryptionKeyNotFound: DENIED_KEY_VAULT,
  KeyVaultVaultNotFound: DENIED_KEY_VAULT,
  BlobImmutableDueToPolicy: IMMUTABLE,
  BlobImmutableDueToLegalHold: IMMUTABLE,
  LeaseIdMissing: LEASED,

  BlobArchived: OFFLINE,
  BlobBeingRehydrated: OFFLINE,
  InvalidBlobType: { kind: 'corrupt', hint: 'Something else than a block blob lies there: none of ours.' },
  BlobUsesCustomerSpecifiedEncryption: FOREIGN_KEY,

  ServerBusy: BUSY,
  InternalError: TROUBLE,
  OperationTimedOut: TROUBLE,
  AccountBeingCreated: TROUBLE,
  Md5Mismatch: IN_TRANSIT,
  Crc64Mismatch: IN_TRANSIT,

  InvalidResourceName: NAME,
  InvalidUri: NAME,
  OutOfRangeInput: NAME,
  InvalidHeaderValue: HEADER,
  RequestBodyTooLarge: TOO_LARGE,
  BlobTierInadequateForContentLength: TOO_LARGE,
};

/**
 * Refusals of a create that may only mean that a blob is there, and that we may not overwrite it: permissions and
 * policies are looked at before the condition that would keep it. With a signature that may create and not write, this is
 * what "exists" looks like.
 */
const MAYBE_TAKEN: ReadonlySet<string> = new Set([
  'AuthorizationFailure',
  'AuthorizationPermissionMismatch',
  'BlobImmutableDueToLegalHold',
  'BlobImmutableDueToPolicy',
  'LeaseIdMissing',
  'UnauthorizedBlobOverwrite',
]);

export function mayBeTaken(answer: Answer | undefined): boolean {
  return answer !== undefined && answer.status >= 400 && MAYBE_TAKEN.has(codeOf(answer) ?? '');
}

const UNKNOWN: Meaning = { kind: 'unreachable', retryable: false };
const STRANGER: Meaning = {
  ...UNKNOWN,
  hint: "This is not the answer of Azure's blob service: is the endpoint right, and does a proxy or a sign-in page stand in between?",
};

/** By status, where the code is unknown or there is none. A 404 without its code says nothing about an object. */
const STATUSES: Readonly<Record<number, Meaning>> = {
  401: DENIED_CREDENTIALS,
  403: DENIED_NETWORK,
  408: TROUBLE,
  429: BUSY,
  500: TROUBLE,
  502: TROUBLE,
  503: BUSY,
  504: TROUBLE,
  507: FULL,
};

/** What an answer of 400 and more means. The SDK's error stays out: it holds the request, with what signs it. */
export function answerFault(question: Question, answer: Answer): StorageError {
  const code = codeOf(answer);
  const meaning = CODES[code ?? ''] ?? STATUSES[answer.status] ?? (code === undefined ? STRANGER : UNKNOWN);
  return new StorageError(meaning.kind, said(question, answer, code), {
    ...meaning,
    ...retryAfter(answer.headers),
  });
}

/** For an answer that claims success and is none, or cannot be read. */
export function notAzure(question: Question, answer: Answer): StorageError {
  return new StorageError(
    'unreachable',
    `${said(question, answer, undefined)}, which is no answer of its blob service`,
    {
      retryable: true,
      hint: STRANGER.hint ?? '',
    },
  );
}

/** For a body that has not the length that was announced. */
export function cutOff({ verb, key }: Question, cause: unknown): StorageError {
  return new StorageError('unreachable', `${verb} of ${key}: the bytes are not as many as were announced`, { cause });
}

/** Azure redirects nobody. */
export function redirected(question: Question, answer: Answer): StorageError {
  const to = answer.headers['location'] ?? '';
  const host = URL.canParse(to) ? `, to ${new URL(to).host}` : '';
  return new StorageError('unreachable', `${said(question, answer, undefined)}: a redirection${host}`, STRANGER);
}

function said({ verb, key, container }: Question, { status, headers }: Answer, code: string | undefined): string {
  const what = key === '' ? `container ${container}` : key;
  const id = headers['x-ms-request-id'];
  return `${verb} of ${what}: ${[String(status), code].filter((part) => part !== undefined).join(' ')}${id ? ` (request ${id})` : ''}`;
}

/** From the header, which a HEAD has too, else from the body. */
export function codeOf({ headers, text = '' }: Answer): string | undefined {
  return headers['x-ms-error-code'] ?? /<Error>\s*<Code>([A-Za-z0-9]+)<\/Code>/.exec(text)?.[1];
}
