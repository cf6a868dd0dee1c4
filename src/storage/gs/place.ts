import { StorageError } from '../errors.ts';

/** What an archive's settings and the environment say about where it lies. */
export interface Location {
  /** `gs://bucket` or `gs://bucket/prefix`. */
  readonly url: string;
  /** http(s) URL of an emulator or a private endpoint, no slash at the end. */
  readonly endpoint?: string | undefined;
  readonly env: NodeJS.ProcessEnv;
}

const SERVICE = 'https://storage.googleapis.com';

/** A bucket, the part of it that belongs to the archive, and how the JSON API addresses both. */
export class Place {
  readonly url: string;
  /** Whether credentials are sent there: never in the clear, nor to an emulator. */
  readonly isAuthenticated: boolean;
  readonly #endpoint: string;
  readonly #bucket: string;
  /** '' or ends with a slash. */
  readonly #prefix: string;

  /** Errors: StorageError `configuration` where the URL, or the emulator that the environment names, is none. */
  constructor({ url, endpoint, env }: Location) {
    const [, bucket, prefix] = /^gs:\/\/([^/]+)(?:\/(.+))?$/s.exec(url) ?? [];
    if (bucket === undefined) {
      throw new StorageError('configuration', `archive ${url} names no bucket`, { hint: 'Write gs://bucket/prefix.' });
    }
    const emulator = endpoint === undefined ? emulatorOf(env) : undefined;
    this.url = url;
    this.#bucket = bucket;
    this.#prefix = prefix === undefined ? '' : `${prefix}/`;
    this.#endpoint = endpoint ?? emulator ?? SERVICE;
    this.isAuthenticated = emulator === undefined && this.#endpoint.startsWith('https:');
  }

  /** The name of an object in its bucket. */
  nameOf(key: string): string {
    return `${this.#prefix}${key}`;
  }

  /** The key of a listed object; undefined for what is no object of the archive's: a directory marker of its prefix. */
  keyOf(name: string): string | undefined {
    return name.startsWith(this.#prefix) && name !== this.#prefix ? name.slice(this.#prefix.length) : undefined;
  }

  /** https://cloud.google.com/storage/docs/json_api/v1/objects */
  object(key: string, query: Query): URL {
    return this.#at(`/storage/v1/b/${this.#bucket}/o/${encodeURIComponent(this.nameOf(key))}`, query);
  }

  /** An object's bytes, without the redirect that the path of its metadata may answer with. */
  media(key: string): URL {
    return this.#at(`/download/storage/v1/b/${this.#bucket}/o/${encodeURIComponent(this.nameOf(key))}`, {
      alt: 'media',
    });
  }

  objects(query: Query): URL {
    return this.#at(`/storage/v1/b/${this.#bucket}/o`, query);
  }

  upload(query: Query): URL {
    return this.#at(`/upload/storage/v1/b/${this.#bucket}/o`, query);
  }

  #at(path: string, query: Query): URL {
    const url = new URL(`${this.#endpoint}${path}`);
    for (const [name, value] of Object.entries(query)) {
      if (value !== undefined) url.searchParams.set(name, value);
    }
    return url;
  }
}

type Query = Readonly<Record<string, string | undefined>>;

/** As the client libraries read it: host:port, or a URL. */
function emulatorOf(env: NodeJS.ProcessEnv): string | undefined {
  const host = env['STORAGE_EMULATOR_HOST'];
  if (host === undefined || host === '') return undefined;
  const url = /^https?:\/\//i.test(host) ? host : `http://${host}`;
  if (URL.canParse(url)) return new URL(url).href.replace(/\/+$/, '');
  throw new StorageError('configuration', 'STORAGE_EMULATOR_HOST names no host', {
    hint: 'It is set where tests run against an emulator, and looks like http://127.0.0.1:4443: unset it.',
  });
}
