import { once } from 'node:events';
import { request as ask, type IncomingMessage } from 'node:http';
import { request as askSecurely } from 'node:https';
import type { Socket } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { needProgram } from '../need.ts';
import { startCanned, type Canned } from './canned.ts';
import { certificates } from './certificates.ts';
import { startForwardProxy } from './forward-proxy.ts';
import { startRelay, type Relay } from './relay.ts';

const CREDENTIALS = { user: 'us er', password: 'p@ss:word' };
const AUTHORIZATION = `Basic ${Buffer.from('us er:p@ss:word').toString('base64')}`;

describe.skipIf(needProgram('openssl'))('on the way to a store', () => {
  let server: Canned;
  let relay: Relay;

  beforeAll(async () => {
    server = await startCanned(({ path, body }) => ({ status: 200, body: `${path}: ${body.toString()}` }));
    relay = await startRelay({ target: `${server.endpoint}/account`, tls: certificates() });
  });
  afterAll(async () => {
    await relay.close();
    await server.close();
  });

  const securely = async (url: string, options: { ca?: string; socket?: Socket } = {}): Promise<string> => {
    const { socket, ca } = options;
    const request = askSecurely(url, {
      ...(ca === undefined ? {} : { ca }),
      ...(socket === undefined ? {} : { socket }),
      agent: false,
    });
    request.end();
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return text(response);
  };

  it('a relay speaks TLS to who trusts its authority', async () => {
    const { ca } = certificates();
    const url = `${relay.endpoint}/a`;
    expect(url).toMatch(/^https:.*\/account\/a$/);
    expect(await securely(url, { ca })).toBe('/account/a: ');
    expect(await securely(url.replace('127.0.0.1', 'localhost'), { ca })).toBe('/account/a: ');
    await expect(securely(url)).rejects.toMatchObject({ code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' });
    relay.misbehave({ do: 'reset' });
    await expect(securely(url, { ca })).rejects.toMatchObject({ code: 'ECONNRESET' });
    relay.misbehave({ do: 'lose-response' });
    await expect(securely(url, { ca })).rejects.toMatchObject({ code: 'ECONNRESET' });
  });

  it('a forward proxy passes requests, and asks for credentials', async () => {
    await using proxy = await startForwardProxy({ credentials: CREDENTIALS });
    expect(proxy.url).toContain('us%20er:p%40ss%3Aword@127.0.0.1:');
    const target = `${server.endpoint}/b?c`;
    const send = async (headers: Record<string, string>): Promise<IncomingMessage> => {
      const request = ask(proxy.urlWithoutCredentials, { path: target, method: 'PUT', headers, agent: false });
      request.end('body');
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      return response;
    };
    expect(await send({})).toMatchObject({ statusCode: 407 });
    expect(await text(await send({ 'proxy-authorization': AUTHORIZATION }))).toBe('/b?c: body');
    expect(server.requests.at(-1)?.headers).not.toHaveProperty('proxy-authorization');
    expect(proxy.requests).toEqual([
      { method: 'PUT', target, isAllowed: false },
      { method: 'PUT', target, isAllowed: true },
    ]);
  });

  it('a forward proxy makes tunnels', async () => {
    await using proxy = await startForwardProxy({ credentials: CREDENTIALS });
    const { host } = new URL(relay.endpoint);
    const open = async (headers: Record<string, string>): Promise<{ status: number | undefined; socket: Socket }> => {
      const request = ask(proxy.urlWithoutCredentials, { method: 'CONNECT', path: host, headers, agent: false });
      request.end();
      const [response, socket] = (await once(request, 'connect')) as [IncomingMessage, Socket];
      return { status: response.statusCode, socket };
    };
    const denied = await open({});
    expect(denied.status).toBe(407);
    denied.socket.destroy();
    const { status, socket } = await open({ 'proxy-authorization': AUTHORIZATION });
    expect(status).toBe(200);
    expect(await securely(`${relay.endpoint}/d`, { ca: certificates().ca, socket })).toBe('/account/d: ');
    expect(proxy.requests).toEqual([
      { method: 'CONNECT', target: host, isAllowed: false },
      { method: 'CONNECT', target: host, isAllowed: true },
    ]);
  });
});
