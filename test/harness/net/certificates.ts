import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { makeScratch } from '../scratch.ts';

/** A certificate that only those trust who are told to. */
export interface Certificates {
  /** PEM file of the authority, for NODE_EXTRA_CA_CERTS and its like. */
  readonly caFile: string;
  readonly ca: string;
  /** Of the server, for 127.0.0.1 and localhost. */
  readonly key: string;
  readonly cert: string;
}

let made: Certificates | undefined;

/** An authority of our own, and a server's certificate from it: the same for all tests of this process. Takes `openssl`. */
export function certificates(): Certificates {
  made ??= makeCertificates();
  return made;
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

function makeCertificates(): Certificates {
  const directory = makeScratch('certificates', { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 });
  const at = (name: string): string => join(directory, name);
  const authority = ['-subj', '/CN=walseal test authority', '-days', '2'];
  openssl(directory, ['req', '-x509', ...NEW_KEY, ...authority, '-keyout', 'ca.key', '-out', 'ca.pem']);
  openssl(directory, ['req', ...NEW_KEY, '-subj', '/CN=localhost', '-keyout', 'server.key', '-out', 'server.csr']);
  writeFileSync(at('names'), 'subjectAltName = DNS:localhost, IP:127.0.0.1\n');
  const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'names'];
  openssl(directory, ['x509', '-req', '-in', 'server.csr', ...signed, '-out', 'server.pem']);
  const read = (name: string): string => readFileSync(at(name), 'utf8');
  return { caFile: at('ca.pem'), ca: read('ca.pem'), key: read('server.key'), cert: read('server.pem') };
}

function openssl(cwd: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync('openssl', args, { cwd, encoding: 'utf8' });
  if (status !== 0) throw new Error(`openssl ${args[0] ?? ''} ended with ${String(status)}: ${stderr}`);
}
