import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { connect } from '../../src/storage/connect.ts';
import { Deadline } from '../../src/storage/deadline.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { needProgram, needStore } from '../harness/need.ts';
import { startCanned, type Canned } from '../harness/net/canned.ts';
import { certificates } from '../harness/net/certificates.ts';
import { startRelay, type Relay } from '../harness/net/relay.ts';
import { fakeGcs, type FakeGcs } from '../harness/stores/fake-gcs.ts';
import { bodyOf, collect, noise, text } from './bodies.ts';
import { connectInExecutable, type Environment } from './bridge/executable.ts';
import { json, refusal } from './gs-answers.ts';
import { gsArchive } from './gs-place.ts';

type Archive = ReturnType<typeof gsArchive>;

const RUNTIMES = [
  {
    where: 'on Node',
    open: (archive: Archive, env: Environment): Promise<Storage> => {
      for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
      return connect(archive);
    },
  },
  { where: 'in the executable', open: connectInExecutable },
];

const TOKEN = { access_token: 'a-token', expires_in: 3_600, token_type: 'Bearer' };
const isLeftOut = needStore('fake-gcs-server') || needProgram('openssl');

describe.skipIf(isLeftOut).each(RUNTIMES)('Google Cloud Storage with credentials, $where', ({ open }) => {
  let home: string;
  let store: FakeGcs;
  let tokens: Canned;
  let relay: Relay;
  let bucket: string;
  let storage: Storage | undefined;
  let deadline: Deadline;

  beforeEach(async () => {
    home = mkdtempSync(join(tmpdir(), 'walseal-gs-'));
    store = await fakeGcs();
    tokens = await startCanned(() => json(TOKEN));
    relay = await startRelay({ target: store.endpoint, tls: certificates() });
    bucket = await store.makeBucket();
    deadline = new Deadline(20_000);
  });
  afterEach(async () => {
    storage?.close();
    deadline.close();
    vi.unstubAllEnvs();
    await relay.close();
    await tokens.close();
    rmSync(home, { recursive: true, force: true });
  });

  /** An environment with these credentials, and without a machine that has its own. */
  function environment(credentials?: unknown, more: Environment = {}): Environment {
    const path = join(home, 'credentials.json');
    if (credentials !== undefined) writeFileSync(path, JSON.stringify(credentials));
    const named = credentials === undefined ? {} : { GOOGLE_APPLICATION_CREDENTIALS: path };
    return { HOME: home, METADATA_SERVER_DETECTION: 'none', ...named, ...more };
  }

  function federated(): unknown {
    writeFileSync(join(home, 'subject'), 'a-subject-token');
    return {
      type: 'external_account',
      audience: '//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q',
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: `${tokens.endpoint}/v1/token`,
      credential_source: { file: join(home, 'subject') },
    };
  }

  const secure = (): Archive => gsArchive(relay.endpoint, bucket, { caFile: certificates().caFile });

  it('sends a token with every request, and fetches it once', async () => {
    storage = await open(secure(), environment(federated()));
    const bytes = noise(1_000_000, 1);
    await storage.create('1/wal/a', bodyOf(bytes), deadline);
    await storage.head('1/wal/a', deadline);
    expect((await collect((await storage.get('1/wal/a', deadline)).bytes)).equals(bytes)).toBe(true);
    expect(relay.requests.map(({ headers }) => headers['authorization'])).toEqual(Array(3).fill('Bearer a-token'));
    expect(tokens.requests).toHaveLength(1);
  });

  it('fetches a new one after one was refused', async () => {
    storage = await open(secure(), environment(federated()));
    relay.misbehave({ do: 'answer', answer: refusal(401, 'authError') });
    await expect(storage.create('1/wal/a', text('1'), deadline)).rejects.toMatchObject({ kind: 'denied' });
    await storage.create('1/wal/a', text('1'), deadline);
    expect(tokens.requests).toHaveLength(2);
  });

  it('sends none to an http:// endpoint, and fetches none', async () => {
    await using plain = await startRelay({ target: store.endpoint });
    storage = await open(gsArchive(plain.endpoint, bucket), environment(federated()));
    await storage.create('1/wal/a', text('1'), deadline);
    expect(plain.requests.map(({ headers }) => headers['authorization'])).toEqual([undefined]);
    expect(tokens.requests).toEqual([]);
  });

  it('takes the emulator that the environment names, and sends it no token', async () => {
    await using plain = await startRelay({ target: store.endpoint });
    const { endpoint: _, ...archive } = gsArchive('', bucket);
    const env = environment(federated(), { STORAGE_EMULATOR_HOST: new URL(plain.endpoint).host });
    storage = await open(archive, env);
    await storage.create('1/wal/a', text('1'), deadline);
    expect(plain.requests.map(({ headers }) => headers['authorization'])).toEqual([undefined]);
    expect(tokens.requests).toEqual([]);
  });

  it('tells the operator where credentials are looked for', async () => {
    storage = await open(secure(), environment());
    await expect(storage.head('1/wal/a', deadline)).rejects.toMatchObject({
      kind: 'configuration',
      retryable: false,
      hint: expect.stringContaining('GOOGLE_APPLICATION_CREDENTIALS') as unknown,
    });
    expect(relay.requests).toEqual([]);
  });

  it('is the metadata server of the machine, which no proxy sees', async () => {
    await using machine = await startCanned(({ path }) => ({
      ...json(path.includes('/token') ? TOKEN : {}),
      headers: { 'metadata-flavor': 'Google', 'content-type': 'application/json' },
    }));
    const { url, lines, server } = await startRefusingProxy();
    const env = environment(undefined, {
      GCE_METADATA_HOST: new URL(machine.endpoint).host,
      METADATA_SERVER_DETECTION: 'assume-present',
      ...{ HTTP_PROXY: url, HTTPS_PROXY: url, NO_PROXY: 'localhost' },
    });
    storage = await open({ ...secure(), endpoint: relay.endpoint.replace('127.0.0.1', 'localhost') }, env);
    await storage.create('1/wal/a', text('1'), deadline);
    expect(relay.requests.map(({ headers }) => headers['authorization'])).toEqual(['Bearer a-token']);
    expect(lines).toEqual([]);
    server.close();
  });

  it('asks for the token of a service account through the proxy', async () => {
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
    const account = {
      type: 'service_account',
      client_email: 'a@b.iam.gserviceaccount.com',
      private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    };
    const { url, lines, server } = await startRefusingProxy();
    storage = await open(secure(), environment(account, { HTTPS_PROXY: url, NO_PROXY: '127.0.0.1' }));
    deadline.shorten(500);
    await expect(storage.head('1/wal/a', deadline)).rejects.toMatchObject({ kind: 'unreachable' });
    expect(lines[0]).toBe('CONNECT oauth2.googleapis.com:443 HTTP/1.1');
    expect(relay.requests).toEqual([]);
    server.close();
  });
});

/** Notes who is asked for, and hangs up: nothing of a test leaves this machine. */
async function startRefusingProxy(): Promise<{ url: string; lines: string[]; server: Server }> {
  const lines: string[] = [];
  const server = createServer((socket) => {
    socket
      .on('error', () => undefined)
      .once('data', (bytes: Buffer) => {
        lines.push(bytes.toString('latin1').split('\r\n', 1)[0] ?? '');
        socket.destroy();
      });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, lines, server };
}
