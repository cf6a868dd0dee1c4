import { readFileSync } from 'node:fs';

import { beforeAll, describe, expect, test } from 'vitest';

import { objectKey } from '../../src/wal/keys.ts';
import { MIB, requireName, type Ended, type TestCluster } from '../harness/cluster.ts';
import { builtDist } from '../harness/dist.ts';
import { needStore } from '../harness/need.ts';
import { freePort } from '../harness/ports.ts';
import { CLOUDS, linesOf, makeCloudArchive, type Cloud, type CloudArchive } from '../harness/stores/archives.ts';
import { makeCluster } from './in-process.ts';
import { watched } from './watched.ts';

const NAME = '00000001000000000000002A';
const NEXT = '00000001000000000000002B';
const AFTER_GAP = '00000001000000000000002C';
const PATH = 'pg_wal/RECOVERYXLOG';
/** Short, since what can't succeed is tried until then. */
const SHORT = { top: 'deadline = "2s"', fetch: 'deadline = "2s"' };
const WELL = { status: 0, signal: null, stdout: '', stderr: '' };

beforeAll(async () => {
  await builtDist();
});

/** A cluster, its archive in a cloud's store, and the commands as the server and the operator run them there. */
class Scene {
  readonly cluster: TestCluster;
  readonly archive: CloudArchive;
  readonly #launcher: 'bin' | 'dist';
  #env: Readonly<Record<string, string>>;

  constructor(archive: CloudArchive, launcher: 'bin' | 'dist') {
    this.cluster = makeCluster();
    this.archive = archive;
    this.#launcher = launcher;
    this.#env = archive.env;
    this.configure({});
  }

  /** Changes the archive's table in the settings, or the credentials. */
  configure(options: Readonly<Record<string, string>>, env = this.archive.env): void {
    this.#env = env;
    this.cluster.settings({ ...SHORT, archives: [linesOf(this.archive.table, options)] });
  }

  push(name = NAME): Promise<Ended> {
    return this.#run('wal-push', `pg_wal/${name}`);
  }

  fetch(name = NAME): Promise<Ended> {
    return this.#run('wal-fetch', name, PATH);
  }

  setAside(): Promise<Ended> {
    return this.#run('walseal', 'set-aside', `pg_wal/${NAME}`);
  }

  get fetched(): Buffer {
    return readFileSync(this.cluster.walPath('RECOVERYXLOG'));
  }

  /** The object of NAME, seen and changed past walseal. */
  read(): Promise<Buffer> {
    return this.archive.eye.read(this.archive.bucket, this.#key);
  }

  overwrite(bytes: Uint8Array): Promise<void> {
    return this.archive.eye.put(this.archive.bucket, this.#key, bytes);
  }

  keys(): Promise<string[]> {
    return this.archive.eye.keys(this.archive.bucket);
  }

  get #key(): string {
    return `${this.archive.prefix}${objectKey(this.cluster.systemId, requireName(NAME))}`;
  }

  #run(command: 'wal-push' | 'wal-fetch' | 'walseal', ...args: string[]): Promise<Ended> {
    return this.cluster.run(command, args, { launcher: this.#launcher, env: this.#env });
  }
}

const PLACES = Object.entries(CLOUDS).flatMap(([cloud, server]) =>
  (['bin', 'dist'] as const).map((launcher) => ({ cloud: cloud as Cloud, server, launcher })),
);

for (const { cloud, server, launcher } of PLACES) {
  describe.skipIf(needStore(server))(`${cloud}://, by the launchers of ${launcher}/`, () => {
    /** With NAME in pg_wal and in the archive. */
    async function archived(): Promise<Scene & { readonly content: Buffer }> {
      const scene = new Scene(await makeCloudArchive(cloud), launcher);
      const content = scene.cluster.segment(NAME);
      expect(await scene.push()).toEqual(WELL);
      return Object.assign(scene, { content });
    }

    test('a file is stored once, proven identical, refused when it is another, set aside, and comes back', async () => {
      const scene = await archived();
      const stored = await scene.read();
      expect(await scene.push()).toEqual(WELL);
      const other = scene.cluster.segment(NAME, { seed: 'another' });
      const refused = await scene.push();
      expect(refused.status).toBe(73);
      for (const content of [scene.content, other]) {
        expect(refused.stderr).toContain(scene.cluster.fingerprint(content));
      }
      expect(await scene.setAside()).toMatchObject({ status: 0, stderr: '' });
      expect(await scene.push()).toMatchObject({ status: 0, stdout: '' });
      expect((await scene.read()).equals(stored)).toBe(true);
      expect(await scene.keys()).toHaveLength(2);
      expect(await scene.fetch()).toEqual(WELL);
      expect(scene.fetched.equals(scene.content)).toBe(true);
    });

    test('what is not there is absent, and a hole is a gap', async () => {
      const scene = await archived();
      expect(await scene.fetch(NEXT)).toEqual({ ...WELL, status: 1 });
      scene.cluster.segment(AFTER_GAP);
      expect(await scene.push(AFTER_GAP)).toEqual(WELL);
      expect(await scene.fetch(NEXT)).toMatchObject({ status: 207, stdout: '' });
      scene.cluster.signal('standby.signal');
      expect(await scene.fetch(NEXT)).toEqual({ ...WELL, status: 1 });
    });

    // The conformance suite compares the two runtimes; the rest is asked of the one that is installed.
    if (launcher === 'bin') return;

    test('the object is read back and opened where that is asked for', async () => {
      const scene = new Scene(await makeCloudArchive(cloud), launcher);
      scene.cluster.settings({ top: 'verify = "readback"', archives: [linesOf(scene.archive.table)] });
      scene.cluster.segment(NAME);
      expect(await scene.push()).toEqual(WELL);
    });

    test('a push of 16 MB takes at most 140 MB of memory', async () => {
      const { cluster, archive } = new Scene(await makeCloudArchive(cloud), launcher);
      cluster.segment(NAME, { bytes: 16 * MIB });
      const env = { ...archive.env, PATH: '/usr/bin:/bin', WALSEAL_CONFIG: cluster.config };
      const pushed = await watched(['wal-push', `pg_wal/${NAME}`], { cwd: cluster.dataDirectory, env });
      expect(pushed.status).toBe(0);
      expect(pushed.peakMb).toBeGreaterThan(20);
      expect(pushed.peakMb).toBeLessThanOrEqual(140);
    });

    test('a wrong prefix and a bucket that is not there are a matter of the settings', async () => {
      const scene = await archived();
      scene.configure({ url: `${scene.archive.url}/elsewhere` });
      expect(await scene.fetch()).toMatchObject({ status: 201 });
      scene.configure({ url: `${cloud}://no-such-bucket-anywhere/prefix` });
      expect(await scene.push()).toMatchObject({ status: 64 });
      expect(await scene.fetch()).toMatchObject({ status: 201 });
      expect(await scene.fetch(NEXT)).toMatchObject({ status: 201 });
    });

    test('a store that nobody answers for is unreachable', async () => {
      const away = await makeCloudArchive(cloud, `http://127.0.0.1:${await freePort()}`);
      const scene = new Scene(away, launcher);
      scene.cluster.segment(NAME);
      expect(await scene.push()).toMatchObject({ status: 69 });
      expect(await scene.fetch()).toMatchObject({ status: 202 });
      scene.cluster.signal('standby.signal');
      expect(await scene.fetch()).toMatchObject({ status: 69 });
    });

    test('credentials that the store refuses are a denial', async () => {
      const scene = await archived();
      // fake-gcs-server asks nobody for credentials.
      expect(scene.archive.refusedEnv === undefined).toBe(cloud === 'gs');
      if (scene.archive.refusedEnv === undefined) return;
      scene.configure({}, scene.archive.refusedEnv);
      expect(await scene.push()).toMatchObject({ status: 77 });
      expect(await scene.fetch()).toMatchObject({ status: 203 });
      expect(await scene.fetch(NEXT)).toMatchObject({ status: 203 });
    });

    test('a damaged object is neither taken nor overwritten', async () => {
      const scene = await archived();
      const damaged = await scene.read();
      damaged[damaged.length - 9] = (damaged.at(-9) ?? 0) ^ 1;
      await scene.overwrite(damaged);
      expect(await scene.fetch()).toMatchObject({ status: 204, stdout: '' });
      expect(await scene.push()).toMatchObject({ status: 74 });
      expect((await scene.read()).equals(damaged)).toBe(true);
    });
  });
}

describe.skipIf(Object.values(CLOUDS).some(needStore))('an archive in each cloud', () => {
  const all = async () => Promise.all((['s3', 'azure', 'gs'] as const).map((cloud) => makeCloudArchive(cloud)));
  const envOf = (archives: readonly CloudArchive[]): Record<string, string> =>
    Object.fromEntries(archives.flatMap(({ env }) => Object.entries(env)));

  test('is pushed to at once; each is told of where one fails; a fetch takes what the first one lacks from the next', async () => {
    const archives = await all();
    const [s3, azure, gs] = archives;
    if (s3 === undefined || azure === undefined || gs === undefined) throw new Error('an archive is missing');
    const cluster = makeCluster();
    const content = cluster.segment(NAME);
    const options = { launcher: 'dist', env: envOf(archives) } as const;
    const configure = (gsOptions: Record<string, string | boolean>): void => {
      const lines = [linesOf(s3.table), linesOf(azure.table), linesOf(gs.table, gsOptions)];
      cluster.settings({ ...SHORT, archives: lines });
    };
    const away = { endpoint: `http://127.0.0.1:${await freePort()}` };

    configure(away);
    const failed = await cluster.run('wal-push', [`pg_wal/${NAME}`], options);
    expect(failed.status).toBe(69);
    expect(failed.stderr).toContain(`archive ${s3.url}: stored`);
    expect(failed.stderr).toContain(`archive ${azure.url}: stored`);
    expect(failed.stderr).toContain(`archive ${gs.url}: `);

    configure({ ...away, required: false });
    const warned = await cluster.run('wal-push', [`pg_wal/${NAME}`], options);
    expect(warned.status).toBe(0);
    expect(warned.stderr).toContain('not required');

    configure({});
    expect(await cluster.run('wal-push', [`pg_wal/${NAME}`], options)).toEqual(WELL);
    for (const { eye, bucket } of archives) expect(await eye.keys(bucket)).toHaveLength(1);

    const key = objectKey(cluster.systemId, requireName(NAME));
    await s3.eye.remove(s3.bucket, `${s3.prefix}${key}`);
    await azure.eye.put(azure.bucket, `${azure.prefix}${key}`, Buffer.from('damaged'));
    const fetched = await cluster.run('wal-fetch', [NAME, PATH], options);
    expect(fetched.status).toBe(0);
    expect(fetched.stderr).toContain(`taken from archive ${gs.url}`);
    expect(readFileSync(cluster.walPath('RECOVERYXLOG')).equals(content)).toBe(true);
    expect((await cluster.run('wal-fetch', [NEXT, PATH], options)).status).toBe(201);

    configure(away);
    expect((await cluster.run('wal-fetch', [NEXT, PATH], options)).status).toBe(202);
  });
});
