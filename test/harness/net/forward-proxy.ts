import { createServer, request as ask, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect, type Socket } from 'node:net';
import { pipeline } from 'node:stream';

export interface ProxyOptions {
  /** Asks for these, by Basic authentication. */
  readonly credentials?: { readonly user: string; readonly password: string };
  /** Where the hosts of this domain are, which nobody else resolves: all of them at this address. */
  readonly domain?: { readonly name: string; readonly address: string };
}

/** What went through a proxy, or was turned away. */
export interface ProxiedRequest {
  /** `CONNECT`, or that of the request itself. */
  readonly method: string;
  /** Host and port for `CONNECT`, else the whole URL. */
  readonly target: string;
  readonly isAllowed: boolean;
}

/** Starts a proxy such as HTTP_PROXY and HTTPS_PROXY name. */
export async function startForwardProxy(options: ProxyOptions = {}): Promise<ForwardProxy> {
  const proxy = new ForwardProxy(options);
  await proxy.listen();
  return proxy;
}

const DENIED = { 'proxy-authenticate': 'Basic realm="walseal test"', 'content-length': '0' };

/** A forward proxy: tunnels for CONNECT, and requests whose path is a whole URL. */
export class ForwardProxy {
  readonly requests: ProxiedRequest[] = [];
  readonly #credentials: ProxyOptions['credentials'];
  readonly #domain: ProxyOptions['domain'];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor({ credentials, domain }: ProxyOptions) {
    this.#credentials = credentials;
    this.#domain = domain;
    this.#server = createServer((message, response) => {
      this.#forward(message, response);
    });
    this.#server.on('connect', (message, socket: Socket, first) => {
      this.#tunnel(message, socket, first);
    });
    this.#server.on('connection', (socket) => {
      this.#keep(socket);
    });
  }

  /** With the credentials that it asks for in it, as the variables have them. */
  get url(): string {
    const { user, password } = this.#credentials ?? {};
    const before = user === undefined ? '' : `${encodeURIComponent(user)}:${encodeURIComponent(password ?? '')}@`;
    return `http://${before}${this.#address()}`;
  }

  get urlWithoutCredentials(): string {
    return `http://${this.#address()}`;
  }

  listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(0, '127.0.0.1', resolve);
    });
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #forward(message: IncomingMessage, response: ServerResponse): void {
    const target = message.url ?? '';
    if (!this.#allows(message, target)) {
      response.writeHead(407, DENIED).end();
      return;
    }
    const headers = Object.fromEntries(Object.entries(message.headers).filter(([name]) => !name.startsWith('proxy-')));
    const { hostname, port, pathname, search } = new URL(target);
    const way = { host: this.#addressOf(hostname), port, path: `${pathname}${search}` };
    const onward = ask({ ...way, method: message.method ?? 'GET', headers, agent: false }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      pipeline(answer, response, () => undefined);
    });
    onward.on('continue', () => {
      response.writeContinue();
    });
    pipeline(message, onward, (error) => {
      if (error && !response.headersSent) response.writeHead(502).end();
    });
  }

  #tunnel(message: IncomingMessage, client: Socket, first: Buffer): void {
    const target = message.url ?? '';
    if (!this.#allows(message, target)) {
      const headers = Object.entries(DENIED).map(([name, value]) => `${name}: ${value}\r\n`);
      client.end(`HTTP/1.1 407 Proxy Authentication Required\r\n${headers.join('')}\r\n`);
      return;
    }
    const { hostname, port } = new URL(`tunnel://${target}`);
    const server = connect(Number(port), this.#addressOf(hostname), () => {
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      if (first.length > 0) server.write(first);
      pipeline(client, server, client, () => undefined);
    });
    this.#keep(server);
    server.on('error', () => client.destroy());
  }

  #addressOf(hostname: string): string {
    const { name, address } = this.#domain ?? {};
    const isOurs = name !== undefined && (hostname === name || hostname.endsWith(`.${name}`));
    return isOurs ? (address ?? hostname) : hostname;
  }

  #allows({ method = '', headers }: IncomingMessage, target: string): boolean {
    const { user, password } = this.#credentials ?? {};
    const wanted = `Basic ${Buffer.from(`${user ?? ''}:${password ?? ''}`).toString('base64')}`;
    const isAllowed = user === undefined || headers['proxy-authorization'] === wanted;
    this.requests.push({ method, target, isAllowed });
    return isAllowed;
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
  }

  #address(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('a proxy without a port');
    return `127.0.0.1:${address.port}`;
  }
}
