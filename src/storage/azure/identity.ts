import { DefaultAzureCredential, type TokenCredential } from '@azure/identity';

import { StorageError, storageErrorWithin } from '../errors.ts';
import type { Transport } from '../http/transport.ts';

type Options = NonNullable<ConstructorParameters<typeof DefaultAzureCredential>[0]>;
type HttpClient = NonNullable<Options['httpClient']>;
type Request = Parameters<HttpClient['sendRequest']>[0];
type Response = Awaited<ReturnType<HttpClient['sendRequest']>>;
type Headers = Response['headers'];

/** Where a host of Azure's has its own identity from; anywhere else nobody answers, which means nothing. */
const HOST_METADATA = '169.254.169.254';
const NONE_HINT =
  'Set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, in the environment of PostgreSQL; ' +
  'or give this host a managed identity, or a service principal in AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET.';
const REFUSED_HINT =
  'AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET (or the certificate, or the federated token) must be those of one service principal, and the secret must not have expired.';

/** The SDK's own chain of credentials, over our transport, whose failures are StorageErrors. */
export function defaultCredential(transport: Transport): TokenCredential {
  const tokens = new TokenService(transport);
  const options: Options = {
    httpClient: tokens,
    retryOptions: { maxRetries: 0 },
    // Unused, so that the SDK does not read the environment's proxies itself.
    proxyOptions: { host: 'http://127.0.0.1', port: 1 },
  };
  const chain = new DefaultAzureCredential(options);
  return {
    getToken: async (scopes, options) => {
      tokens.forget();
      try {
        return await chain.getToken(scopes, options);
      } catch (error) {
        throw tokens.fault(error);
      }
    },
  };
}

/** The way to the token services. It remembers what the chain forgets: it takes a refused secret for a missing one. */
class TokenService implements HttpClient {
  readonly #transport: Transport;
  #failure: StorageError | undefined;
  #refusedBy: string | undefined;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  forget(): void {
    this.#failure = undefined;
    this.#refusedBy = undefined;
  }

  async sendRequest(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const limit = request.timeout > 0 ? AbortSignal.timeout(request.timeout) : undefined;
    const signals = [limit, request.abortSignal].filter((signal) => signal instanceof AbortSignal);
    try {
      const { method, headers } = request;
      const body = typeof request.body === 'string' ? Buffer.from(request.body) : undefined;
      const signal = AbortSignal.any(signals);
      const response = await this.#transport.send({ method, url, headers: headers.toJSON(), body, signal });
      const pieces = await response.body.toArray();
      if (method === 'POST' && response.status >= 400 && response.status <= 403) this.#refusedBy = url.host;
      const text = Buffer.concat(pieces.map((piece) => Buffer.from(piece as Uint8Array))).toString('utf8');
      return { request, status: response.status, headers: new HeaderMap(response.headers), bodyAsText: text };
    } catch (error) {
      if (error instanceof StorageError && url.hostname !== HOST_METADATA) this.#failure ??= error;
      throw error;
    }
  }

  fault(error: unknown): StorageError {
    if (this.#refusedBy !== undefined) {
      return new StorageError('denied', `${this.#refusedBy} refuses the credentials of this host`, {
        hint: REFUSED_HINT,
      });
    }
    const unreachable = this.#failure ?? storageErrorWithin(error);
    if (unreachable !== undefined) return unreachable;
    return new StorageError('configuration', 'no credentials for Azure were found', { hint: NONE_HINT });
  }
}

/** Headers as the SDK's pipelines have them; names in lower case. */
class HeaderMap implements Headers {
  readonly #values: Map<string, string>;

  constructor(values: Readonly<Record<string, string>>) {
    this.#values = new Map(Object.entries(values));
  }

  get(name: string): string | undefined {
    return this.#values.get(name.toLowerCase());
  }

  has(name: string): boolean {
    return this.#values.has(name.toLowerCase());
  }

  set(name: string, value: string | number | boolean): void {
    this.#values.set(name.toLowerCase(), String(value));
  }

  delete(name: string): void {
    this.#values.delete(name.toLowerCase());
  }

  toJSON(): Record<string, string> {
    return Object.fromEntries(this.#values);
  }

  [Symbol.iterator](): Iterator<[string, string]> {
    return this.#values.entries();
  }
}
