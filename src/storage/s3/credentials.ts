import { codeOf } from '../../exit.ts';
import { seconds } from '../deadline.ts';
import { storageErrorWithin, StorageError } from '../errors.ts';
import { networkFault } from '../http/faults.ts';

const HINT =
  "The SDK looks in the environment (AWS_ACCESS_KEY_ID), the profile (AWS_PROFILE, ~/.aws of the user that PostgreSQL runs as), a web identity, and the container's or the machine's role.";

/** Longer than any token service may take, and than the SDK itself waits for the machine's. */
const LIMIT_MS = 6_000;

/**
 * The credentials, unless whoever should give them says nothing. The SDK waits a second for the machine's metadata
 * service, which most machines do not have, but in the executable that limit does not pass while a connection is made.
 */
export async function inTime<T>(credentials: Promise<T>, url: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const fact = `no credentials for ${url} within ${seconds(LIMIT_MS)}: nobody who could give them answers`;
      reject(new StorageError('configuration', fact, { hint: HINT }));
    }, LIMIT_MS);
  });
  try {
    return await Promise.race([credentials, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/** What the SDK's providers throw where they have found nothing: ProviderError and its kin in @smithy/core. */
const NOT_FOUND: ReadonlySet<string> = new Set(['ProviderError', 'CredentialsProviderError', 'TokenProviderError']);

/** Why there are no credentials. What is no failure of a provider is a bug, and is returned as it is. */
export function credentialFault(error: unknown, url: string): unknown {
  const within = storageErrorWithin(error);
  if (within !== undefined) return within;
  if (!(error instanceof Error)) return error;
  const status = statusOf(error);
  if (status !== undefined) return refusedByService(error, status, url);
  if (NOT_FOUND.has(error.name)) {
    return new StorageError('configuration', `no credentials for ${url}: ${reason(error)}`, {
      cause: error,
      hint: HINT,
    });
  }
  return codeOf(error) === undefined ? error : networkFault(error, "the credentials' service");
}

/** A service that gives temporary credentials (STS, SSO) has answered. */
function refusedByService(error: Error, status: number, url: string): StorageError {
  const passing = status === 429 || status >= 500;
  return new StorageError(
    passing ? 'unreachable' : 'denied',
    `no credentials for ${url}: the token service says ${error.name} (${status})`,
    { cause: error, hint: passing ? '' : 'See the role, its trust policy, and the credentials that ask for it.' },
  );
}

function statusOf(error: Error): number | undefined {
  const metadata: unknown = '$metadata' in error ? error.$metadata : undefined;
  if (typeof metadata !== 'object' || metadata === null || !('httpStatusCode' in metadata)) return undefined;
  return typeof metadata.httpStatusCode === 'number' ? metadata.httpStatusCode : undefined;
}

/** A credential_process is quoted with its arguments, which may hold a secret. */
function reason({ message }: Error): string {
  const [first = ''] = message.split('\n', 1);
  return first.replace(/^(Command failed).*$/, 'the credential_process failed').slice(0, 200);
}
