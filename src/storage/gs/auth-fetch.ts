import { seconds } from '../deadline.ts';
import { StorageError } from '../errors.ts';
import type { Transport } from '../http/transport.ts';

/** A token service that does not answer by then will not; whose deadline ends earlier stops waiting earlier. */
const ANSWER_MS = 10_000;

/** What a request needs of the transport. */
export type Sender = Pick<Transport, 'send'>;

/**
 * The transport as `fetch`, for the small requests of a client library that fetches tokens. Errors: those of the
 * transport.
 */
export function fetchThrough(transport: Sender): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const url = new URL(request.url);
    const bytes = Buffer.from(await request.arrayBuffer());
    const controller = new AbortController();
    const timer = setTimeout(() => {
      controller.abort(new StorageError('unreachable', `no answer from ${url.host} within ${seconds(ANSWER_MS)}`));
    }, ANSWER_MS);
    try {
      const { status, headers, body } = await transport.send({
        method: request.method,
        url,
        headers: Object.fromEntries(request.headers),
        body: bytes.length === 0 && request.method === 'GET' ? undefined : bytes,
        signal: controller.signal,
      });
      const pieces: Buffer[] = [];
      for await (const piece of body) pieces.push(piece as Buffer);
      return new Response(Buffer.concat(pieces), { status, headers });
    } finally {
      clearTimeout(timer);
    }
  };
}
