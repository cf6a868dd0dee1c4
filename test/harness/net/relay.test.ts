import { Agent, request as ask } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { waitFor } from '../wait.ts';
import { startCanned, type Canned } from './canned.ts';
import { proxyPage, slowDown } from './faults.ts';
import { RequestReader } from './http-messages.ts';
import { startNeverAccepting } from './never-accepts.ts';
import { startRelay, type Relay } from './relay.ts';

/** No answer is a good one where none may come; it is not waited for long. */
const SILENT_MS = 300;
const BIG = 'x'.repeat(3_000_000);

let server: Canned;
let relay: Relay;
let agent: Agent;

beforeEach(async () => {
  server = await startCanned(({ path, body }) => ({ status: 200, body: `${path} has ${body.length}, ${BIG}` }));
  relay = await startRelay({ target: server.endpoint });
  agent = new Agent({ keepAlive: true, maxSockets: 1 });
});
afterEach(async () => {
  agent.destroy();
  await relay.close();
  await server.close();
});

interface Sent {
  readonly method?: string;
  readonly body?: string;
  readonly headers?: Record<string, string>;
  readonly limitMs?: number;
}

/** One request, on the connection that is there. */
function send(path: string, { method = 'PUT', body = '', headers = {}, limitMs = 5_000 }: Sent = {}): Promise<string> {
  const signal = AbortSignal.timeout(limitMs);
  return new Promise((resolve, reject) => {
    const request = ask(`${relay.endpoint}${path}`, { method, headers, agent, signal }, (response) => {
      text(response).then((body) => resolve(`${response.statusCode} ${body}`), reject);
    });
    request.on('error', reject);
    if (headers['expect'] === undefined) request.end(body);
    else {
      request.flushHeaders();
      request.on('continue', () => request.end(body));
    }
  });
}

const isTime = { name: 'AbortError' };

describe('a relay', () => {
  it('passes requests of every kind, one after the other, and tells of them', async () => {
    const length = { 'content-length': '5' };
    expect(await send('/a?b', { method: 'GET' })).toBe(`200 /a?b has 0, ${BIG}`);
    expect(await send('/sized', { body: '12345', headers: length })).toMatch(/^200 .sized has 5,/);
    expect(await send('/chunked', { body: BIG, headers: { 'transfer-encoding': 'chunked' } })).toMatch(/has 3000000,/);
    expect(await send('/expected', { body: '12345', headers: { ...length, expect: '100-continue' } })).toMatch(/has 5/);
    expect(await send('/last', { method: 'HEAD' })).toBe('200 ');
    expect(relay.connections).toBe(1);
    expect(relay.requests.map(({ method, path, status, isWhole }) => [method, path, status, isWhole])).toEqual([
      ['GET', '/a?b', 200, true],
      ['PUT', '/sized', 200, true],
      ['PUT', '/chunked', 200, true],
      ['PUT', '/expected', 200, true],
      ['HEAD', '/last', 200, true],
    ]);
    expect(relay.requests[1]).toMatchObject({ bodyBytes: 5, headers: length });
  });

  it('resets what matches, as often as it is told, and nothing else', async () => {
    relay.misbehave({ do: 'reset' }, { when: ({ path }) => path === '/b', times: 2 });
    await send('/a');
    await expect(send('/b')).rejects.toMatchObject({ code: 'ECONNRESET' });
    await expect(send('/b')).rejects.toMatchObject({ code: 'ECONNRESET' });
    await send('/b');
    expect(server.requests.map(({ path }) => path)).toEqual(['/a', '/b']);
  });

  it('answers in place of the server, also where the body waits for it', async () => {
    relay.misbehave({ do: 'answer', answer: slowDown({ 'retry-after': '7' }) });
    relay.misbehave({ do: 'answer', answer: proxyPage(404) });
    expect(await send('/a', { body: BIG })).toMatch(/^503 .*SlowDown/);
    expect(await send('/b', { headers: { expect: '100-continue', 'content-length': '5' }, body: '12345' })).toMatch(
      /^404 .*nginx/,
    );
    await send('/c');
    expect(server.requests.map(({ path }) => path)).toEqual(['/c']);
  });

  it('swallows a request, or stops in the middle of it', async () => {
    relay.misbehave({ do: 'silence' });
    await expect(send('/a', { limitMs: SILENT_MS })).rejects.toMatchObject(isTime);
    relay.misbehave({ do: 'stop-reading', afterBodyBytes: 100_000 });
    await expect(send('/b', { body: BIG, limitMs: SILENT_MS })).rejects.toMatchObject(isTime);
    expect(server.requests).toEqual([]);
    expect(relay.requests.map(({ isWhole }) => isWhole)).toEqual([true, false]);
  });

  it('loses the answer to what the server has done', async () => {
    relay.misbehave({ do: 'lose-response' });
    await expect(send('/a', { body: '12345' })).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(server.requests.map(({ body }) => body.toString())).toEqual(['12345']);
    expect(relay.requests[0]).toMatchObject({ status: 200 });
  });

  it('breaks an answer off', async () => {
    const breaks = { do: 'break-response', afterBytes: 10 } as const;
    relay.misbehave({ ...breaks, part: 'head', by: 'end' });
    await expect(send('/a')).rejects.toMatchObject({ code: 'ECONNRESET' });
    relay.misbehave({ ...breaks, part: 'head', by: 'hanging' });
    await expect(send('/a', { limitMs: SILENT_MS })).rejects.toMatchObject(isTime);
    for (const by of ['end', 'reset'] as const) {
      relay.misbehave({ ...breaks, part: 'body', by });
      await expect(send('/a'), by).rejects.toMatchObject({ code: 'ECONNRESET' });
    }
    relay.misbehave({ ...breaks, part: 'body', by: 'hanging' });
    await expect(send('/a', { limitMs: SILENT_MS })).rejects.toMatchObject(isTime);
  });

  it('damages one byte, and holds a request back', async () => {
    relay.misbehave({ do: 'damage', part: 'request', atBodyByte: 2 });
    relay.misbehave({ do: 'damage', part: 'response', atBodyByte: 1 });
    const release = Promise.withResolvers<unknown>();
    relay.misbehave({ do: 'hold', until: release.promise });
    await send('/a', { body: '11111' });
    expect(server.requests[0]?.body.toString()).toBe('11011');
    expect(await send('/a')).toMatch(/^200 .` has/);
    const held = send('/held');
    await waitFor('the held request', () => relay.requests.length === 3);
    expect(server.requests).toHaveLength(2);
    release.resolve(undefined);
    expect(await held).toMatch(/^200/);
  });

  it('refuses connections, and accepts them again', async () => {
    await send('/a');
    await relay.refuse();
    await expect(send('/a')).rejects.toMatchObject({ code: expect.stringMatching(/ECONNRE/) as unknown });
    await relay.listen();
    await send('/a');
    expect(relay.connections).toBe(2);
  });
});

it('a host that never accepts lets a connection hang', async () => {
  const unreachable = await startNeverAccepting();
  const signal = AbortSignal.timeout(SILENT_MS);
  await expect(fetch(unreachable.endpoint, { signal })).rejects.toMatchObject({ name: 'TimeoutError' });
  await unreachable.close();
});

it('requests are told apart in whatever pieces they come', () => {
  const bytes = Buffer.from(
    'PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n0\r\nTrailer: x\r\n\r\nGET /b HTTP/1.1\r\n\r\n' +
      'PUT /c HTTP/1.1\r\ncontent-length: 3\r\n\r\nabcGET /d HTTP/1.1\r\nhost: x\r\n\r\n',
  );
  for (let size = 1; size <= bytes.length; size += 1) {
    const reader = new RequestReader();
    const parts = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
      reader.push(bytes.subarray(i * size, (i + 1) * size)),
    ).flat();
    expect(parts.flatMap((part) => (part.kind === 'head' ? [part.head.path] : []))).toEqual(['/a', '/b', '/c', '/d']);
    expect(parts.filter(({ kind }) => kind === 'end')).toHaveLength(4);
    expect(Buffer.concat(parts.flatMap((part) => ('raw' in part ? [part.raw] : []))).equals(bytes)).toBe(true);
  }
});
