/** HTTP/1.1 as bytes on a connection: just enough to tell one message from the next, and a head from a body. */

export type Headers = Readonly<Record<string, string>>;

export interface RequestHead {
  readonly method: string;
  /** With its query, as it was sent. */
  readonly path: string;
  /** Names in lower case. */
  readonly headers: Headers;
}

/** `raw` is what came, framing included. */
export type RequestPart =
  | { readonly kind: 'head'; readonly head: RequestHead; readonly raw: Buffer }
  | { readonly kind: 'body'; readonly raw: Buffer }
  | { readonly kind: 'end' };

type Step =
  | { readonly at: 'head' | 'chunk-size' | 'trailer' }
  | { readonly at: 'bytes'; readonly left: number; readonly then: 'chunk-size' | 'end' };

const LINE_END = '\r\n';
const HEAD_END = '\r\n\r\n';

/** Cuts what a client sends into its requests, whatever pieces it comes in. */
export class RequestReader {
  #held = Buffer.alloc(0);
  #step: Step = { at: 'head' };

  push(chunk: Uint8Array): RequestPart[] {
    const parts: RequestPart[] = [];
    let bytes = Buffer.concat([this.#held, chunk]);
    for (;;) {
      const taken = this.#take(bytes, parts);
      if (taken === 0) break;
      bytes = bytes.subarray(taken);
    }
    this.#held = bytes;
    return parts;
  }

  /** How many bytes one step takes; 0 where it needs more. */
  #take(bytes: Buffer, parts: RequestPart[]): number {
    const step = this.#step;
    if (step.at === 'bytes') return this.#takeBytes(bytes, step, parts);
    const mark = step.at === 'head' ? HEAD_END : LINE_END;
    const end = bytes.indexOf(mark);
    if (end === -1) return 0;
    const text = bytes.subarray(0, end).toString('latin1');
    const raw = bytes.subarray(0, end + mark.length);
    if (step.at === 'head') this.#begin(text, raw, parts);
    else {
      parts.push({ kind: 'body', raw });
      if (step.at === 'chunk-size') this.#step = chunkOf(Number.parseInt(text, 16));
      else if (text === '') this.#finish(parts);
    }
    return raw.length;
  }

  #takeBytes(bytes: Buffer, { left, then }: Step & { at: 'bytes' }, parts: RequestPart[]): number {
    const raw = bytes.subarray(0, left);
    if (raw.length > 0) parts.push({ kind: 'body', raw });
    if (raw.length < left) this.#step = { at: 'bytes', left: left - raw.length, then };
    else if (then === 'end') this.#finish(parts);
    else this.#step = { at: 'chunk-size' };
    return raw.length;
  }

  #begin(text: string, raw: Buffer, parts: RequestPart[]): void {
    const { line, headers } = parseHead(text);
    const [method = '', path = ''] = line.split(' ');
    parts.push({ kind: 'head', head: { method, path, headers }, raw });
    const length = Number(headers['content-length'] ?? 0);
    if (/chunked/i.test(headers['transfer-encoding'] ?? '')) this.#step = { at: 'chunk-size' };
    else if (length > 0) this.#step = { at: 'bytes', left: length, then: 'end' };
    else parts.push({ kind: 'end' });
  }

  #finish(parts: RequestPart[]): void {
    this.#step = { at: 'head' };
    parts.push({ kind: 'end' });
  }
}

/** A chunk with the line end behind it. */
function chunkOf(size: number): Step {
  if (Number.isNaN(size)) throw new Error('a chunk without its size');
  return size === 0 ? { at: 'trailer' } : { at: 'bytes', left: size + LINE_END.length, then: 'chunk-size' };
}

export type ResponsePart =
  | { readonly kind: 'interim'; readonly raw: Buffer }
  | { readonly kind: 'head'; readonly status: number; readonly raw: Buffer }
  | { readonly kind: 'body'; readonly raw: Buffer };

/** Tells the head of one response from its body; what precedes it (100 Continue) is `interim`. */
export class ResponseReader {
  #held = Buffer.alloc(0);
  #isInBody = false;

  push(chunk: Uint8Array): ResponsePart[] {
    const parts: ResponsePart[] = [];
    let bytes = Buffer.concat([this.#held, chunk]);
    for (let end = this.#headEnd(bytes); end !== -1; end = this.#headEnd(bytes)) {
      const raw = bytes.subarray(0, end);
      const status = Number(/^HTTP\/1\.\d (\d{3})/.exec(raw.toString('latin1'))?.[1]);
      this.#isInBody = status >= 200;
      parts.push(this.#isInBody ? { kind: 'head', status, raw } : { kind: 'interim', raw });
      bytes = bytes.subarray(end);
    }
    if (this.#isInBody && bytes.length > 0) parts.push({ kind: 'body', raw: bytes });
    this.#held = this.#isInBody ? Buffer.alloc(0) : bytes;
    return parts;
  }

  #headEnd(bytes: Buffer): number {
    if (this.#isInBody) return -1;
    const end = bytes.indexOf(HEAD_END);
    return end === -1 ? -1 : end + HEAD_END.length;
  }
}

function parseHead(text: string): { line: string; headers: Headers } {
  const [line = '', ...lines] = text.split(LINE_END);
  const pairs = lines.map((one) => {
    const colon = one.indexOf(':');
    return [one.slice(0, colon).toLowerCase(), one.slice(colon + 1).trim()];
  });
  return { line, headers: Object.fromEntries(pairs) as Record<string, string> };
}

/** An answer that no store gave: a proxy's page, a recorded response. */
export interface Answer {
  readonly status: number;
  readonly headers?: Headers;
  readonly body?: string | Uint8Array;
}

/** An answer as bytes; `content-length` is filled in. */
export function formatAnswer({ status, headers = {}, body = '' }: Answer, method: string): Buffer {
  const bytes = Buffer.from(body);
  const all = { 'content-length': String(bytes.length), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}${LINE_END}`);
  const head = Buffer.from(`HTTP/1.1 ${status} Canned${LINE_END}${lines.join('')}${LINE_END}`, 'latin1');
  return method === 'HEAD' ? head : Buffer.concat([head, bytes]);
}
