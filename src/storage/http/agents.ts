import { readFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import tls from 'node:tls';

import { codeOf } from '../../exit.ts';
import { StorageError } from '../errors.ts';
import type { Agents, Route } from './route.ts';

/** How a network is entered: what an archive's settings and the environment say of it. */
export interface Network {
  /** PEM certificates of authorities that are trusted besides the runtime's. */
  readonly caFile?: string | undefined;
  readonly env: NodeJS.ProcessEnv;
}

/** Kept open between requests; more at once than these wait for a free one. */
const MAX_SOCKETS = 32;
const PROXY_VARIABLES = ['http_proxy', 'https_proxy', 'all_proxy', 'HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'];

/** Errors: StorageError `configuration` where the file of authorities can't be read. */
export async function openAgents({ caFile, env }: Network): Promise<Agents> {
  const ca = caFile === undefined ? undefined : await readAuthorities(caFile);
  const direct = new DirectAgents(ca);
  // Few hosts have a proxy, and what speaks to one takes its time to load.
  if (!PROXY_VARIABLES.some((name) => env[name])) return direct;
  const { ProxyAgents } = await import('./proxy.ts');
  return new ProxyAgents(direct);
}

class DirectAgents implements Agents {
  readonly #plain = new http.Agent({ keepAlive: true, maxSockets: MAX_SOCKETS });
  readonly #secure = new https.Agent({ keepAlive: true, maxSockets: MAX_SOCKETS });
  readonly #trust: { readonly ca?: string[] };

  constructor(ca: string[] | undefined) {
    this.#trust = ca === undefined ? {} : { ca };
  }

  routeTo({ protocol }: URL): Route {
    return protocol === 'https:' ? { agent: this.#secure, ...this.#trust } : { agent: this.#plain };
  }

  close(): void {
    this.#plain.destroy();
    this.#secure.destroy();
  }
}

/** The runtime's authorities and those of the file: the token services of a cloud have public certificates. */
async function readAuthorities(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    throw unfit(path, codeOf(error) ?? String(error), error);
  });
  if (!text.includes('-----BEGIN CERTIFICATE-----')) throw unfit(path, 'there is no certificate in it');
  return [...tls.rootCertificates, text];
}

function unfit(path: string, reason: string, cause?: unknown): StorageError {
  return new StorageError('configuration', `cannot read ca_file ${path}: ${reason}`, {
    cause,
    hint: 'It holds PEM certificates, and the user that PostgreSQL runs as must be able to read it.',
  });
}
