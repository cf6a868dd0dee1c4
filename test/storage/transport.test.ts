import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';

import { StorageError } from '../../src/storage/errors.ts';
import { openTransport, type RequestBody, type Transport } from '../../src/storage/http/transport.ts';
import { collect } from './bodies.ts';

const LIMITS = { connectMs: 100, continueMs: 50 };
const MIB = 1024 * 1024;

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function listen(server: Server | net.Server): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => {
    server.close();
    if ('closeAllConnections' in server) server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

async function serve(answer: RequestListener): Promise<string> {
  return listen(createServer(answer));
}

async function transport(): Promise<Transport> {
  const made = await openTransport({ env: {} }, LIMITS);
  closers.push(() => {
    made.close();
  });
  return made;
}

interface Options {
  readonly body?: RequestBody;
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
}

async function ask(url: string, options: Options = {}): Promise<{ status: number; text: string }> {
  const method = options.body === undefined ? 'GET' : 'PUT';
  const response = await (await transport()).send({ method, url: new URL(url), headers: {}, ...options });
  return { status: response.status, text: (await collect(response.body)).toString() };
}

function body(length: number, piece = MIB): RequestBody {
  return {
    length,
    open: async function* () {
      for (let at = 0; at < length; at += piece)
        yield await Promise.resolve(Buffer.alloc(Math.min(piece, length - at)));
    },
  };
}

/** Answers with the number of bytes that came. */
function count(request: IncomingMessage, response: ServerResponse): void {
  let bytes = 0;
  request.on('data', (piece: Buffer) => (bytes += piece.length));
  request.on('end', () => response.end(String(bytes)));
}

test('one connection serves one request after the other', async () => {
  const sockets = new Set<unknown>();
  const url = new URL(
    await serve((request, response) => {
      sockets.add(request.socket);
      response.end('x');
    }),
  );
  const sender = await transport();
  for (let i = 0; i < 3; i += 1) {
    const response = await sender.send({ method: 'GET', url, headers: {} });
    expect((await collect(response.body)).toString()).toBe('x');
  }
  expect(sockets.size).toBe(1);
});

test('a kept connection that the server closes meanwhile costs nothing', async () => {
  const server = createServer((_, response) => response.end('x'));
  const url = new URL(await listen(server));
  const sender = await transport();
  const ask = async (): Promise<string> =>
    (await collect((await sender.send({ method: 'GET', url, headers: {} })).body)).toString();
  expect(await Promise.all([ask(), ask()])).toEqual(['x', 'x']);
  await expect.poll(() => countIdle(server)).toBe(2);
  server.closeAllConnections();
  expect(await ask()).toBe('x');
});

/** Connections that are open; all of them are idle when no request is under way. */
async function countIdle(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => {
      if (error === null) resolve(count);
      else reject(error);
    });
  });
}

describe('a body', () => {
  test.each([0, 1, 20 * MIB + 1])('of %i bytes is sent whole, with its length', async (length) => {
    const url = await serve((request, response) => {
      response.setHeader('x-length', request.headers['content-length'] ?? 'none');
      count(request, response);
    });
    const response = await (
      await transport()
    ).send({ method: 'PUT', url: new URL(url), headers: {}, body: body(length) });
    expect(response.headers['x-length']).toBe(String(length));
    expect((await collect(response.body)).toString()).toBe(String(length));
  });

  test('that nobody wants is not sent: the answer came before it', async () => {
    let given = 0;
    const url = await serve((request, response) => {
      response.writeHead(412).end('taken');
      request.resume();
    });
    const source = body(512 * MIB);
    const counted: RequestBody = {
      length: 512 * MIB,
      open: async function* () {
        if (source instanceof Uint8Array) return;
        for await (const piece of source.open()) {
          given += piece.length;
          yield piece;
        }
      },
    };
    expect(await ask(url, { body: counted })).toEqual({ status: 412, text: 'taken' });
    expect(given).toBeLessThan(64 * MIB);
  });

  test('waits for the permission that it asks for, and not for ever', async () => {
    const events: string[] = [];
    const server = createServer(count);
    server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      events.push('asked');
      if (request.url === '/no') return response.writeHead(412).end('taken');
      if (request.url === '/yes') response.writeContinue();
      return count(request, response);
    });
    const url = await listen(server);
    const headers = { Expect: '100-continue' };
    expect(await ask(`${url}yes`, { body: body(MIB), headers })).toEqual({ status: 200, text: String(MIB) });
    expect(await ask(`${url}no`, { body: body(MIB), headers })).toEqual({ status: 412, text: 'taken' });
    expect(await ask(`${url}silent`, { body: body(MIB), headers })).toEqual({ status: 200, text: String(MIB) });
    expect(events).toHaveLength(3);
  });

  test('whose source fails ends the request with what the source threw', async () => {
    const failure = new Error('the file has changed');
    const broken: RequestBody = {
      length: 10,
      open: async function* () {
        yield await Promise.resolve(Buffer.alloc(5));
        throw failure;
      },
    };
    await expect(ask(await serve(count), { body: broken })).rejects.toBe(failure);
  });
});

describe('ends as unreachable', () => {
  const expected = { name: 'StorageError', kind: 'unreachable', retryable: true };

  test('where nothing listens', async () => {
    const server = net.createServer();
    const url = await listen(server);
    server.close();
    await expect(ask(url)).rejects.toMatchObject({
      ...expected,
      message: expect.stringContaining('ECONNREFUSED') as string,
    });
  });

  test('where the connection is cut before an answer, and within one', async () => {
    const url = await serve((request, response) => {
      if (request.url === '/half') {
        response.writeHead(200, { 'content-length': 1000 });
        response.write('half', () => request.socket.resetAndDestroy());
      } else request.socket.destroy();
    });
    await expect(ask(url)).rejects.toMatchObject(expected);
    await expect(ask(`${url}half`)).rejects.toMatchObject(expected);
  });

  test('where something else than HTTP answers', async () => {
    const url = await listen(net.createServer((socket) => socket.end('220 mail.example.com ESMTP\r\n')));
    await expect(ask(url)).rejects.toMatchObject(expected);
  });

  test('where a connection is not made in time', async () => {
    // It takes connections, and never speaks TLS.
    const url = await listen(net.createServer((socket) => socket.on('error', () => undefined)));
    await expect(ask(url.replace('http:', 'https:'))).rejects.toMatchObject({
      ...expected,
      message: expect.stringMatching(/^no connection to 127\.0\.0\.1:\d+ within 100 ms$/) as string,
    });
  });
});

test('the reason of an abort is what it ends with, at every point', async () => {
  const reason = new StorageError('unreachable', 'was not done within 5 s', { retryable: false });
  const url = await serve((request, response) => {
    if (request.url === '/half') response.writeHead(200, { 'content-length': 1000 }).write('half');
  });
  for (const [path, options] of [
    ['', {}],
    ['', { body: body(64 * MIB) }],
    ['half', {}],
  ] as const) {
    const controller = new AbortController();
    setImmediate(() => {
      controller.abort(reason);
    });
    await expect(ask(`${url}${path}`, { ...options, signal: controller.signal })).rejects.toBe(reason);
  }
  await expect(ask(url, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});

test('no redirect is followed', async () => {
  const url = await serve((_, response) => response.writeHead(307, { location: 'http://127.0.0.1:1/' }).end());
  expect((await ask(url)).status).toBe(307);
});

test('a proxy that demands credentials is a matter of configuration', async () => {
  const url = await serve((_, response) => response.writeHead(407).end());
  await expect(ask(url)).rejects.toMatchObject({ kind: 'configuration' });
});

test('a file of authorities that is none is a matter of configuration', async () => {
  for (const caFile of ['/nonexistent/ca.pem', import.meta.filename]) {
    await expect(openTransport({ caFile, env: {} })).rejects.toMatchObject({
      kind: 'configuration',
      message: expect.stringContaining(caFile) as string,
    });
  }
});
