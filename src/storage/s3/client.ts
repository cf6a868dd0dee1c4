import type {
  $Command,
  S3Client,
  S3ClientConfig,
  S3ClientResolvedConfig,
  ServiceInputTypes,
  ServiceOutputTypes,
} from '@aws-sdk/client-s3';

import { sdk } from '#s3-sdk';

import type { StoreSettings } from '../../settings/schema.ts';
import type { Deadline } from '../deadline.ts';
import { storageErrorWithin, StorageError } from '../errors.ts';
import { openTransport, type Transport } from '../http/transport.ts';
import { credentialFault, inTime } from './credentials.ts';
import { handlerOver, type CallOptions, type Heard } from './handler.ts';
import { refusalOf, refused, type Refusal } from './refusal.ts';

/**
 * From this many bytes on the store is asked whether it wants the body: a 412 comes before it is sent then. To ask costs a
 * round trip, and what a segment of 16 MB is compressed to is sent in less, where it is not refused.
 */
const ASK_FIRST_BYTES = 8 * 1024 * 1024;
/** What stores of S3's kin take for a region, as most of them have none. */
const ANY_REGION = 'us-east-1';

/** The archive's settings that concern the way to the store. */
export type Access = Pick<StoreSettings, 'url' | 'region' | 'endpoint' | 'forcePathStyle' | 'caFile'>;

/** One request and its answer's meaning, or why there was another one. */
export type Reply<Output> = { readonly output: Output } | { readonly refusal: Refusal };

type Command<Input extends ServiceInputTypes, Output extends ServiceOutputTypes> = $Command<
  Input,
  Output,
  S3ClientResolvedConfig
>;

/** The SDK's client, sending through our transport, each request exactly once. */
export class Client {
  readonly #s3: S3Client;
  readonly #transport: Transport;
  readonly #url: string;

  constructor(s3: S3Client, transport: Transport, url: string) {
    this.#s3 = s3;
    this.#transport = transport;
    this.#url = url;
  }

  /** Errors: StorageError, also for what the store refuses; `doing` says in messages what was asked for. */
  async ask<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: Command<Input, Output>,
    doing: string,
    deadline: Deadline,
  ): Promise<Output> {
    const reply = await this.reply(command, doing, deadline);
    if ('output' in reply) return reply.output;
    throw refused(reply.refusal, doing);
  }

  /** The same for those who look at a refusal themselves. Errors: StorageError where the store does not answer. */
  async reply<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: Command<Input, Output>,
    doing: string,
    deadline: Deadline,
  ): Promise<Reply<Output>> {
    await this.#authenticate(deadline);
    const heard: Heard = {};
    const options: CallOptions = { abortSignal: deadline.signal, heard };
    try {
      return { output: await this.#s3.send(command, options) };
    } catch (error) {
      deadline.signal.throwIfAborted();
      const within = storageErrorWithin(error);
      if (within !== undefined) throw within;
      const refusal = refusalOf(error, heard);
      if (refusal !== undefined) return { refusal };
      throw isUnfit(error) ? unfit(doing, error) : error;
    }
  }

  close(): void {
    this.#s3.destroy();
    this.#transport.close();
  }

  /** The SDK keeps what it found and asks again before it expires; asked for here, a failure is known for what it is. */
  async #authenticate(deadline: Deadline): Promise<void> {
    try {
      await deadline.race(inTime(this.#s3.config.credentials(), this.#url));
    } catch (error) {
      deadline.signal.throwIfAborted();
      throw credentialFault(error, this.#url);
    }
  }
}

/** Errors: StorageError `configuration` where no region is known, or `caFile` can't be read. */
export async function openClient(access: Access, env: NodeJS.ProcessEnv): Promise<Client> {
  const transport = await openTransport({ caFile: access.caFile, env });
  // It would tell the server's log that a future version wants another runtime.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  const config: S3ClientConfig = {
    requestHandler: handlerOver(transport),
    // Limits and retries are ours: src/storage/limits.ts and retry.ts.
    maxAttempts: 1,
    expectContinueHeader: ASK_FIRST_BYTES,
    // Digests are computed and compared by us; nothing is chunked, and no body is read twice for it.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    // Where an archive lies is said in its settings alone: AWS_ENDPOINT_URL could lead elsewhere.
    ignoreConfiguredEndpointUrls: true,
    logger: SILENT,
    ...(access.endpoint !== undefined && { endpoint: access.endpoint }),
    ...(access.forcePathStyle !== undefined && { forcePathStyle: access.forcePathStyle }),
  };
  return new Client(new sdk.S3Client({ ...config, region: await regionOf(access, config) }), transport, access.url);
}

/** What the SDK has to say goes to a server's log; all that matters is in its errors. */
const SILENT = { trace: say, debug: say, info: say, warn: say, error: say };

function say(): void {
  // Nothing.
}

/** The region of the settings, else that of the SDK's chain: AWS_REGION, the profile. */
async function regionOf({ url, region, endpoint }: Access, config: S3ClientConfig): Promise<string> {
  const found = region ?? (await new sdk.S3Client(config).config.region().catch(() => undefined));
  if (found === undefined && endpoint !== undefined) return ANY_REGION;
  if (found === undefined) {
    throw new StorageError('configuration', `the region of ${url} is not known`, {
      hint: 'Set region in [[archive]]; AWS_REGION and the region of the AWS profile are looked at as well.',
    });
  }
  // The SDK makes a host's name of it.
  if (/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i.test(found)) return found;
  throw new StorageError('configuration', `"${found}" is no region (of ${url})`, {
    hint: 'One looks like eu-central-1.',
  });
}

/** The SDK finds no address for a bucket of such a name: EndpointError of @smithy/core. */
function isUnfit(error: unknown): error is Error {
  return error instanceof Error && error.name === 'EndpointError';
}

function unfit(doing: string, error: Error): StorageError {
  return new StorageError('configuration', `cannot ${doing}: ${error.message}`, {
    cause: error,
    hint: 'See the bucket, region, endpoint and force_path_style of [[archive]].',
  });
}
