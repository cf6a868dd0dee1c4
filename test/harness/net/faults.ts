import type { Answer, Headers, RequestHead } from './http-messages.ts';

/** What can happen to a request on its way, from the mildest to the one that says least. */
export type Fault =
  /** It reaches the server only when the promise is kept. */
  | { readonly do: 'hold'; readonly until: Promise<unknown> }
  /** One byte of a body arrives as another one. */
  | { readonly do: 'damage'; readonly part: 'request' | 'response'; readonly atBodyByte: number }
  /** Somebody else answers: a proxy, a load balancer. The server sees nothing of it. */
  | { readonly do: 'answer'; readonly answer: Answer }
  /** The connection is reset when the request's head has come. The server sees nothing of it. */
  | { readonly do: 'reset' }
  /** The whole request is taken, forwarded to nobody, and never answered. */
  | { readonly do: 'silence' }
  /** So many bytes of the request's body are forwarded, then nothing is read any more. */
  | { readonly do: 'stop-reading'; readonly afterBodyBytes: number }
  /** The server does all that it was asked, and the connection is reset in place of its answer. */
  | { readonly do: 'lose-response' }
  /** The answer stops after so many bytes of its head or its body: for ever, or with the end or the reset of the connection. */
  | {
      readonly do: 'break-response';
      readonly part: 'head' | 'body';
      readonly afterBytes: number;
      readonly by: 'hanging' | 'end' | 'reset';
    };

/** A request that passed, as far as it did. */
export interface PassedRequest extends RequestHead {
  /** Counts the connections from 1 on. */
  readonly connection: number;
  /** Bytes of the body, its framing included. */
  bodyBytes: number;
  /** All of it has come. */
  isWhole: boolean;
  /** What the server answered; undefined until then, and where nobody answered. */
  status: number | undefined;
  /** What was done to it. */
  readonly fault: Fault['do'] | undefined;
}

/** What AWS answers to who asks too often. */
export function slowDown(headers: Headers = {}): Answer {
  const body =
    '<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>';
  return { status: 503, headers: { 'content-type': 'application/xml', ...headers }, body };
}

/** What a proxy answers that knows nothing of stores. */
export function proxyPage(status: number): Answer {
  const body = `<html><head><title>${status}</title></head><body><h1>${status}</h1><hr>nginx</body></html>`;
  return { status, headers: { 'content-type': 'text/html', server: 'nginx' }, body };
}
