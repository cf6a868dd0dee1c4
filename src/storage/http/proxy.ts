import type http from 'node:http';

import { HttpProxyAgent } from 'http-proxy-agent';
import { HttpsProxyAgent } from 'https-proxy-agent';
import { getProxyForUrl } from 'proxy-from-env';

import { StorageError } from '../errors.ts';
import type { Agents, Route } from './route.ts';

/** Goes through the proxies that the environment names: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, less those of NO_PROXY. */
export class ProxyAgents implements Agents {
  readonly #direct: Agents;
  readonly #made = new Map<string, http.Agent>();

  constructor(direct: Agents) {
    this.#direct = direct;
  }

  routeTo(url: URL): Route {
    const direct = this.#direct.routeTo(url);
    const proxy = getProxyForUrl(url.href);
    if (proxy === '') return direct;
    const key = `${url.protocol} ${proxy}`;
    const agent = this.#made.get(key) ?? agentThrough(proxy, url);
    this.#made.set(key, agent);
    return { ...direct, agent };
  }

  close(): void {
    this.#direct.close();
    for (const agent of this.#made.values()) agent.destroy();
  }
}

function agentThrough(proxy: string, { protocol }: URL): http.Agent {
  if (!/^https?:\/\//i.test(proxy) || !URL.canParse(proxy)) {
    throw new StorageError('configuration', 'the proxy that the environment names is no http:// or https:// URL', {
      hint: 'HTTPS_PROXY, HTTP_PROXY and ALL_PROXY look like http://host:port; NO_PROXY lists the hosts that are reached without.',
    });
  }
  const kept = { keepAlive: true };
  return protocol === 'https:' ? new HttpsProxyAgent(proxy, kept) : new HttpProxyAgent(proxy, kept);
}
