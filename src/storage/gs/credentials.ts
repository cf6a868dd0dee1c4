import { gaxios, gcpMetadata, GoogleAuth } from 'google-auth-library';

import { codeOf } from '../../exit.ts';
import type { Deadline } from '../deadline.ts';
import { StorageError, storageErrorWithin } from '../errors.ts';
import { fetchThrough, type Sender } from './auth-fetch.ts';

/** To read, write, list and delete objects, and nothing of their policies. */
const SCOPES = ['https://www.googleapis.com/auth/devstorage.read_write'];
/** No request names a project; without one the library runs `gcloud` to find it. */
const NO_PROJECT = 'none';
const HINT =
  'Application Default Credentials are looked for in GOOGLE_APPLICATION_CREDENTIALS, in the file that ' +
  '"gcloud auth application-default login" writes, and on the metadata server, with the environment and home of the user that PostgreSQL runs as.';

/** As the library names them; one of the environment's own comes on top. */
const METADATA_HOSTS = ['169.254.169.254', 'metadata.google.internal', 'metadata.google.internal.'];

/**
 * Application Default Credentials, as the client library finds them and renews their tokens.
 * https://cloud.google.com/docs/authentication/application-default-credentials
 */
export class Credentials {
  readonly #fetch: typeof fetch;
  #auth: GoogleAuth | undefined;

  constructor(transport: Sender) {
    this.#fetch = fetchThrough(transport);
    keepFromProxies(process.env);
  }

  /** The headers that authorize a request. Errors: StorageError `configuration`, `denied`, `unreachable`, `throttled`. */
  async headers(deadline: Deadline): Promise<Record<string, string>> {
    this.#auth ??= makeAuth(this.#fetch);
    const auth = this.#auth;
    try {
      return Object.fromEntries(await deadline.race(auth.getRequestHeaders()));
    } catch (error) {
      // What failed or hangs in it would do so for ever, in an agent.
      if (this.#auth === auth) this.forget();
      gcpMetadata.resetIsAvailableCache();
      throw credentialsFault(error);
    }
  }

  /** The next headers hold a new token. */
  forget(): void {
    this.#auth = undefined;
  }
}

function makeAuth(fetchImplementation: typeof fetch): GoogleAuth {
  const transporter = new gaxios.Gaxios({ fetchImplementation });
  transporter.interceptors.request.add({
    resolved: (config) => Promise.resolve({ ...config, retryConfig: { ...config.retryConfig, retry: 0 } }),
  });
  return new GoogleAuth({ scopes: SCOPES, projectId: NO_PROJECT, clientOptions: { transporter } });
}

/**
 * A machine's token comes in the clear, over a link of its own: no proxy may see it. The library asks for it through one
 * unless this variable says otherwise.
 */
function keepFromProxies(env: NodeJS.ProcessEnv): void {
  const said = env['NO_PROXY'] ?? env['no_proxy'] ?? '';
  const own = [env['GCE_METADATA_IP'], env['GCE_METADATA_HOST']].map((host) => host?.replace(/:\d+$/, ''));
  const hosts = new Set(
    [...said.split(','), ...own, ...METADATA_HOSTS].filter((host) => host !== undefined && host !== ''),
  );
  env['NO_PROXY'] = [...hosts].join(',');
}

/**
 * What the library throws, without what it may carry: its requests hold secrets, and a file that is no JSON is cited in
 * the message.
 */
function credentialsFault(error: unknown): StorageError {
  const known = storageErrorWithin(error);
  if (known !== undefined) return known;
  if (error instanceof gaxios.GaxiosError) return tokenFault(error);
  const code = codeOf(error);
  const said = error instanceof SyntaxError || !(error instanceof Error) ? '' : `: ${firstLine(error.message)}`;
  const fact = error instanceof SyntaxError ? ': their file is no JSON' : code === undefined ? said : `: ${code}`;
  return new StorageError('configuration', `no usable credentials for Google Cloud Storage${fact}`, { hint: HINT });
}

/** The token service, or the metadata server, said something else than a token, or nothing. */
function tokenFault({ status, code, response }: InstanceType<typeof gaxios.GaxiosError>): StorageError {
  const what = 'fetching a token for Google Cloud Storage';
  if (status === undefined) {
    return new StorageError('unreachable', `${what} had no answer${code === undefined ? '' : `: ${code}`}`);
  }
  const said = oauthError(response?.data);
  const fact = `${what} was answered with ${status}${said === undefined ? '' : ` (${said})`}`;
  if (status === 429) return new StorageError('throttled', fact);
  if (status === 408 || status >= 500) return new StorageError('unreachable', fact);
  if (status === 404) {
    return new StorageError('configuration', fact, {
      hint: `Has this machine a service account? ${HINT}`,
    });
  }
  return new StorageError('denied', fact, {
    hint: `The credentials are revoked, deleted or not for this; a wrong clock looks just so. ${HINT}`,
  });
}

/** RFC 6749, 5.2; Google's own services have the longer form. */
function oauthError(data: unknown): string | undefined {
  if (typeof data !== 'object' || data === null || !('error' in data)) return undefined;
  const { error } = data;
  if (typeof error === 'string') {
    const description = 'error_description' in data ? data.error_description : undefined;
    return typeof description === 'string' ? `${error}: ${firstLine(description)}` : error;
  }
  const isNamed = typeof error === 'object' && error !== null && 'status' in error;
  return isNamed && typeof error.status === 'string' ? error.status : undefined;
}

function firstLine(text: string): string {
  return text.split(/[\r\n]/, 1)[0] ?? '';
}
