import {
  AnonymousCredential,
  BlockBlobClient,
  newPipeline,
  StorageSharedKeyCredential,
  type HttpHeaders,
  type HttpOperationResponse,
  type Pipeline,
  type WebResource,
} from '@azure/storage-blob';

import { StorageError } from '../errors.ts';
import type { HttpResponse, Transport } from '../http/transport.ts';
import type { Account } from './account.ts';
import { Call } from './call.ts';
import { redirected } from './errors.ts';

/**
 * The version of the service that is asked for: the first that knows where a listing starts. The SDK asks for its
 * newest one, which emulators, Azure Stack and the national clouds learn later.
 */
const SERVICE_VERSION = '2026-02-06';
/** No answer that is held is longer: a page of 5,000 blobs has about 4 MB. */
const LONGEST_TEXT = 64 * 1024 * 1024;
/** A proxy that no request goes through: with it the SDK does not read the environment's, which is the transport's part. */
const UNUSED_PROXY = { host: 'http://127.0.0.1', port: 1 };

type Credential = NonNullable<Parameters<typeof newPipeline>[0]>;

/** A container, and where in it the archive lies. */
export class Client {
  readonly container: string;
  /** What stands before every key: empty, or with a slash at the end. */
  readonly root: string;
  readonly pipeline: Pipeline;
  readonly #endpoint: string;
  readonly #query: string;

  constructor(container: string, root: string, account: Account, pipeline: Pipeline) {
    this.container = container;
    this.root = root;
    this.pipeline = pipeline;
    this.#endpoint = account.endpoint;
    this.#query = account.access.kind === 'sas' ? `?${account.access.token}` : '';
  }

  /** Errors: StorageError `configuration` for a key that the service would store under another name. */
  blob(key: string): BlockBlobClient {
    if (key.includes('\\')) {
      throw new StorageError('configuration', `Azure takes the backslash in ${key} for a slash`, {
        hint: 'No object has such a name there.',
      });
    }
    const path = `${this.root}${key}`.split('/').map(encodeURIComponent).join('/');
    return new BlockBlobClient(`${this.#endpoint}/${this.container}/${path}${this.#query}`, this.pipeline);
  }

  /** The container's URL, with the signature where there is one. */
  get containerUrl(): string {
    return `${this.#endpoint}/${this.container}${this.#query}`;
  }
}

/** The client of the container and prefix in `azure://container/prefix`. Nothing is asked of the service yet. */
export async function openClient(url: string, account: Account, transport: Transport): Promise<Client> {
  const [, container = '', prefix = ''] = /^azure:\/\/([^/]+)\/?(.*)$/s.exec(url) ?? [];
  const pipeline = newPipeline(await credentialOf(account, transport), {
    httpClient: { sendRequest: (request) => send(transport, request) },
    retryOptions: { maxTries: 1 },
    proxyOptions: UNUSED_PROXY,
  });
  // Before the request is signed.
  pipeline.factories.push({
    create: (next) => ({
      sendRequest: (request) => {
        request.headers.set('x-ms-version', SERVICE_VERSION);
        return next.sendRequest(request);
      },
    }),
  });
  return new Client(container, prefix === '' ? '' : `${prefix}/`, account, pipeline);
}

async function credentialOf({ access }: Account, transport: Transport): Promise<Credential> {
  switch (access.kind) {
    case 'key':
      return new StorageSharedKeyCredential(access.account, access.key);
    case 'sas':
      return new AnonymousCredential();
    case 'chain': {
      const { defaultCredential } = await import('./identity.ts');
      return defaultCredential(transport);
    }
  }
}

/** What the SDK takes for its HTTP client: one request over our transport. What it throws passes the SDK as it is. */
async function send(transport: Transport, request: WebResource): Promise<HttpOperationResponse> {
  const call = Call.of(request.abortSignal);
  try {
    return await exchange(transport, request, call);
  } catch (error) {
    call.fail(error);
    throw error;
  }
}

async function exchange(transport: Transport, request: WebResource, call: Call): Promise<HttpOperationResponse> {
  const { method, streamResponseStatusCodes } = request;
  const url = new URL(request.url);
  const headers = request.headers.toJson();
  const response = await transport.send({ method, url, headers, body: call.body, signal: call.signal });
  const { status } = response;
  const isHandedOn = streamResponseStatusCodes?.has(status) === true;
  const text = isHandedOn ? undefined : await readText(response);
  if (status >= 300 && status < 400) throw redirected(call.question, response);
  const answer = { request, status, headers: headersOf(request, response) };
  if (text !== undefined) {
    call.hear({ ...response, text });
    return { ...answer, bodyAsText: text };
  }
  call.watch(response.body);
  try {
    call.hear(response);
  } catch (error) {
    response.body.destroy();
    throw error;
  }
  return { ...answer, readableStreamBody: response.body };
}

async function readText({ body }: HttpResponse): Promise<string> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of body as AsyncIterable<Uint8Array>) {
    length += piece.length;
    if (length > LONGEST_TEXT)
      throw new StorageError('unreachable', 'an answer is longer than any of Azure', { retryable: false });
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

/** Without the challenge of a 401, which would make the SDK ask again by itself. */
function headersOf(request: WebResource, response: HttpResponse): HttpHeaders {
  const headers = request.headers.clone();
  for (const name of headers.headerNames()) headers.remove(name);
  for (const [name, value] of Object.entries(response.headers)) {
    if (name !== 'www-authenticate') headers.set(name, value);
  }
  return headers;
}
