import type { Readable } from 'node:stream';

import { seconds } from '../deadline.ts';
import { StorageError } from '../errors.ts';
import type { HttpResponse, RequestBody, Transport } from '../http/transport.ts';

/** A request as the SDK makes it (HttpRequest of @smithy/core). */
export interface SdkRequest {
  readonly method: string;
  /** With a colon at the end. */
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  /** Encoded. */
  readonly path: string;
  readonly query: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Record<string, string>;
  readonly body?: unknown;
}

interface SdkResponse {
  readonly statusCode: number;
  readonly headers: Record<string, string>;
  readonly body: Readable;
}

/** What a call of ours learns of the last answer, whatever the SDK makes of it. */
export interface Heard {
  answer?: Pick<HttpResponse, 'status' | 'headers'>;
}

/** What the SDK hands from a call to the handler. Its own requests, for credentials, come without. */
export interface CallOptions {
  readonly abortSignal?: AbortSignal;
  readonly heard?: Heard;
}

/** How long a service that gives credentials may take to answer, since its requests are under nobody's deadline. */
const CREDENTIALS_MS = 3_000;

/** What the SDK sends its requests with: our transport. */
export function handlerOver(transport: Transport) {
  return {
    metadata: { handlerProtocol: 'http/1.1' },
    async handle(request: SdkRequest, options: CallOptions = {}): Promise<{ response: SdkResponse }> {
      const { status, headers, body } = await transport.send({
        method: request.method,
        url: urlOf(request),
        headers: request.headers,
        body: bodyOf(request),
        signal: options.abortSignal ?? limited(request),
      });
      if (options.heard) options.heard.answer = { status, headers };
      return { response: { statusCode: status, headers: { ...headers }, body } };
    },
    updateHttpClientConfig: () => undefined,
    httpHandlerConfigs: () => ({}),
  };
}

function limited({ hostname }: SdkRequest): AbortSignal {
  const controller = new AbortController();
  const fact = `no answer from ${hostname}, which should give credentials, within ${seconds(CREDENTIALS_MS)}`;
  setTimeout(() => {
    controller.abort(new StorageError('unreachable', fact));
  }, CREDENTIALS_MS).unref();
  return controller.signal;
}

/** Whether it is a request of the SDK, where its types promise nothing. */
export function isSdkRequest(value: unknown): value is SdkRequest {
  return typeof value === 'object' && value !== null && 'method' in value && 'hostname' in value && 'headers' in value;
}

function urlOf({ protocol, hostname, port, path, query }: SdkRequest): URL {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    [value ?? ''].flat().map((item) => `${encode(name)}=${encode(item)}`),
  );
  const authority = port === undefined ? hostname : `${hostname}:${String(port)}`;
  return new URL(`${protocol}//${authority}${path}${pairs.length > 0 ? '?' : ''}${pairs.join('&')}`);
}

/** As signatures count it: all but letters, digits and -._~ is encoded. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

function bodyOf({ body, headers }: SdkRequest): RequestBody | undefined {
  if (body === undefined) return undefined;
  if (typeof body === 'string') return Buffer.from(body);
  if (body instanceof Uint8Array) return body;
  if (isSource(body)) return { length: Number(headers['content-length']), open: () => body };
  throw new TypeError('the SDK sends a body that is neither text nor bytes nor a stream of them');
}

function isSource(body: unknown): body is AsyncIterable<Uint8Array> {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body;
}
