import type http from 'node:http';

/** The part of a request's options that says how its connection is made. */
export interface Route {
  readonly agent: http.Agent;
  readonly ca?: string[];
}

/** Connections that are kept, straight to a URL's host or through the environment's proxy. */
export interface Agents {
  routeTo(url: URL): Route;
  close(): void;
}
