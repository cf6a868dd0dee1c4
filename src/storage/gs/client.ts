import type { Deadline } from '../deadline.ts';
import type { HttpRequest, HttpResponse, Transport } from '../http/transport.ts';
import type { Credentials } from './credentials.ts';
import type { Place } from './place.ts';

const AGENT = 'walseal';

/** Sends requests of the JSON API, with credentials where the place takes them. */
export class Client {
  readonly place: Place;
  readonly #transport: Transport;
  readonly #credentials: Credentials | undefined;

  /** `credentials`: undefined for an emulator. */
  constructor(place: Place, transport: Transport, credentials: Credentials | undefined) {
    this.place = place;
    this.#transport = transport;
    this.#credentials = credentials;
  }

  /** One request, with whatever status it is answered. Errors: StorageError; what a body's source throws. */
  async send(request: Omit<HttpRequest, 'signal'>, deadline: Deadline): Promise<HttpResponse> {
    const credentials = await this.#credentials?.headers(deadline);
    const headers = { 'user-agent': AGENT, ...credentials, ...request.headers };
    const response = await this.#transport.send({ ...request, headers, signal: deadline.signal });
    // A token may be revoked before it expires.
    if (response.status === 401) this.#credentials?.forget();
    return response;
  }

  /** How messages name a request: "get of gs://bucket/prefix/key". */
  what(verb: string, key: string): string {
    return `${verb} of ${this.place.url}/${key}`;
  }

  close(): void {
    this.#transport.close();
  }
}
