import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { flip, MIB, removePath, type TestCluster } from '../harness/cluster.ts';
import { call, fetch, makeCluster, push } from './in-process.ts';

const NAME = '00000001000000000000002A';
const NEXT = '00000001000000000000002B';

/** A cluster whose archive holds NAME; the file itself is gone from pg_wal. */
async function archived(
  options: Parameters<typeof makeCluster>[0] = {},
): Promise<{ cluster: TestCluster; content: Buffer }> {
  const cluster = makeCluster(options);
  const content = cluster.segment(NAME);
  expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
  removePath(cluster.walPath(NAME));
  return { cluster, content };
}

function walFiles(cluster: TestCluster): string[] {
  return readdirSync(join(cluster.dataDirectory, 'pg_wal'));
}

describe('a fetch brings the file', () => {
  test('whole, readable by its owner alone, and leaves nothing else', async () => {
    const { cluster, content } = await archived();
    expect(await fetch(cluster, NAME)).toMatchObject({ status: 0, warnings: '', out: '' });
    expect(readFileSync(cluster.walPath('RECOVERYXLOG')).equals(content)).toBe(true);
    expect(statSync(cluster.walPath('RECOVERYXLOG')).mode & 0o777).toBe(0o600);
    expect(walFiles(cluster)).toEqual(['RECOVERYXLOG']);
  });

  test('of 16 MB', async () => {
    const cluster = makeCluster();
    const content = cluster.segment(NAME, { bytes: 16 * MIB });
    expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
    expect(await fetch(cluster, NAME)).toMatchObject({ status: 0 });
    expect(readFileSync(cluster.walPath('RECOVERYXLOG')).equals(content)).toBe(true);
  });

  test('in place of an older one', async () => {
    const { cluster, content } = await archived();
    cluster.walFile('RECOVERYXLOG', 'of an earlier request');
    expect(await fetch(cluster, NAME)).toMatchObject({ status: 0 });
    expect(readFileSync(cluster.walPath('RECOVERYXLOG')).equals(content)).toBe(true);
  });

  test('to a path with spaces anywhere', async () => {
    const { cluster, content } = await archived();
    const path = join(cluster.root, ' a place  with spaces ');
    expect(
      await call(['wal-fetch', '--config', cluster.config, '--pgdata', cluster.dataDirectory, NAME, path]),
    ).toMatchObject({ status: 0 });
    expect(readFileSync(path).equals(content)).toBe(true);
  });

  test('and sweeps what dead fetches left behind, not what living ones write', async () => {
    const { cluster } = await archived();
    const dead = spawnSync('true').pid;
    const kept = [`xlogtemp.walseal.${process.ppid}`, 'xlogtemp.123', 'xlogtemp.walseal.notes'];
    for (const name of [`xlogtemp.walseal.${dead}`, ...kept]) cluster.walFile(name, 'x');
    expect(await fetch(cluster, NAME)).toMatchObject({ status: 0 });
    expect(walFiles(cluster).sort()).toEqual(['RECOVERYXLOG', ...kept].sort());
  });

  test('and never writes through a link that lies where its temporary file goes', async () => {
    const { cluster, content } = await archived();
    const victim = join(cluster.root, 'victim');
    writeFileSync(victim, 'precious');
    symlinkSync(victim, cluster.walPath(`xlogtemp.walseal.${process.pid}`));
    expect(await fetch(cluster, NAME)).toMatchObject({ status: 0 });
    expect(statSync(victim).size).toBe('precious'.length);
    expect(readFileSync(cluster.walPath('RECOVERYXLOG')).equals(content)).toBe(true);
  });
});

describe('a fetch that cannot write ends with 206 and leaves nothing', () => {
  test('where the directory is missing', async () => {
    const { cluster } = await archived();
    const path = join(cluster.root, 'nowhere', 'RECOVERYXLOG');
    const said = await call(['wal-fetch', '--config', cluster.config, '--pgdata', cluster.dataDirectory, NAME, path]);
    expect(said.status).toBe(206);
    expect(said.failure).toContain('ENOENT');
  });

  test('where a directory has the name', async () => {
    const { cluster } = await archived();
    mkdirSync(cluster.walPath('RECOVERYXLOG'));
    expect(await fetch(cluster, NAME)).toMatchObject({ status: 206 });
    expect(walFiles(cluster)).toEqual(['RECOVERYXLOG']);
  });

  test('where nobody waits for it any more', async () => {
    const { cluster } = await archived();
    const argv = ['wal-fetch', '--config', cluster.config, NAME, cluster.walPath('RECOVERYXLOG')];
    expect(await call(argv, { stillWanted: () => false })).toMatchObject({ status: 206 });
    expect(walFiles(cluster)).toEqual([]);
  });
});

describe('an object that is not whole ends with 204 and leaves nothing', () => {
  test('whichever byte of it is wrong', async () => {
    const { cluster } = await archived();
    const path = cluster.objectPath(NAME);
    const { length } = readFileSync(path);
    const header = readFileSync(path, 'latin1').indexOf('\n---');
    const recipient = readFileSync(path, 'latin1').indexOf('-> X25519');
    const payload = [header + 60, 1_000, 5_000, Math.floor(length / 2), length - 17, length - 1];
    for (const at of [0, 20, 60, recipient - 2, header + 1, header + 10, ...payload]) {
      flip(path, at);
      expect.soft(await fetch(cluster, NAME), `byte ${at}`).toMatchObject({ status: 204 });
      flip(path, at);
    }
    // What is wrapped for a recipient tells a wrong byte from a wrong key to nobody.
    for (const at of [recipient + 15, header - 5]) {
      flip(path, at);
      expect.soft([204, 205], `byte ${at}`).toContain((await fetch(cluster, NAME)).status);
      flip(path, at);
    }
    expect(walFiles(cluster)).toEqual([]);
    expect(await fetch(cluster, NAME)).toMatchObject({ status: 0 });
  });

  test.each([false, true])('wherever it ends too early (encrypted: %s)', async (encrypted) => {
    const { cluster } = await archived({ settings: { encrypted } });
    const path = cluster.objectPath(NAME);
    const whole = readFileSync(path);
    for (const length of [0, 1, 100, 400, 1_000, whole.length - 65_536, whole.length - 16, whole.length - 1]) {
      truncateSync(path, length);
      expect.soft(await fetch(cluster, NAME), `${length} bytes`).toMatchObject({ status: 204 });
      writeFileSync(path, whole);
    }
    expect(walFiles(cluster)).toEqual([]);
  });

  test('and the message says that it is damaged, or empty, and what to do', async () => {
    const { cluster } = await archived();
    const path = cluster.objectPath(NAME);
    flip(path, 5_000);
    const { failure } = await fetch(cluster, NAME);
    expect(failure).toContain('bring it back from another archive or from a copy of this one. No other archive');
    truncateSync(path, 0);
    expect((await fetch(cluster, NAME)).failure).toMatch(/object is empty\n.*bring it back/);
  });

  test.each([false, true])('where bytes follow (encrypted: %s)', async (encrypted) => {
    const { cluster } = await archived({ settings: { encrypted } });
    const path = cluster.objectPath(NAME);
    writeFileSync(path, Buffer.concat([readFileSync(path), Buffer.alloc(1)]));
    expect(await fetch(cluster, NAME)).toMatchObject({ status: 204 });
  });

  test('where it belongs under another name', async () => {
    const { cluster } = await archived();
    copyFileSync(cluster.objectPath(NAME), cluster.objectPath(NEXT));
    const said = await fetch(cluster, NEXT);
    expect(said.status).toBe(204);
    expect(said.failure).toContain(`label names ${NAME}, expected was ${NEXT}`);
  });

  test('where it is another cluster`s', async () => {
    const { cluster } = await archived();
    const other = makeCluster({ beside: cluster });
    mkdirSync(dirname(other.objectPath(NAME)), { recursive: true });
    copyFileSync(cluster.objectPath(NAME), other.objectPath(NAME));
    const said = await fetch(other, NAME);
    expect(said.status).toBe(204);
    expect(said.failure).toContain(cluster.systemId);
  });

  test('where it is a directory', async () => {
    const { cluster } = await archived();
    mkdirSync(cluster.objectPath(NEXT));
    expect(await fetch(cluster, NEXT)).toMatchObject({ status: 204 });
  });
});

describe('who wrote it', () => {
  test('does not matter where nobody asks', async () => {
    const { cluster } = await archived({ settings: {} });
    expect(await fetch(cluster, NAME)).toMatchObject({ status: 0 });
  });

  test('is demanded where trusted is set: an object without a signature ends with 204', async () => {
    const { cluster } = await archived();
    cluster.settings({ signing: 'trusted = []' });
    const said = await fetch(cluster, NAME);
    expect(said.status).toBe(204);
    expect(said.failure).toMatch(/it is not signed\nNo key can be listed for it/);
    expect(walFiles(cluster)).toEqual([]);
  });

  test.each([false, true])(
    'a stranger`s signature ends with 204, a trusted one with 0 (encrypted: %s)',
    async (encrypted) => {
      const cluster = makeCluster();
      const other = makeCluster();
      cluster.settings({ encrypted, signing: `key_file = "${other.keys.signing}"` });
      cluster.segment(NAME);
      expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
      cluster.settings({ encrypted, signing: `key_file = "${cluster.keys.signing}"\ntrusted = []` });
      const said = await fetch(cluster, NAME);
      expect(said.status).toBe(204);
      expect(said.failure).toContain('is not trusted');
      cluster.settings({ encrypted, signing: `trusted = ["${other.keys.public}"]` });
      expect(await fetch(cluster, NAME)).toMatchObject({ status: 0 });
    },
  );
});

describe('an object that no key here opens ends with 205', () => {
  test('without an identity', async () => {
    const { cluster } = await archived({ settings: { identity: false } });
    const said = await fetch(cluster, NAME);
    expect(said.status).toBe(205);
    expect(said.failure).toContain('identity_file');
  });

  test('with somebody else`s identity', async () => {
    const { cluster } = await archived();
    const other = makeCluster();
    writeFileSync(cluster.keys.identity, readFileSync(other.keys.identity));
    expect(await fetch(cluster, NAME)).toMatchObject({ status: 205 });
    expect(walFiles(cluster)).toEqual([]);
  });
});

describe('what cannot work ends with 201', () => {
  test.each([
    ['a name that is none', ['wal-fetch', 'base.tar', '/tmp/x']],
    ['a name in lower case', ['wal-fetch', NAME.toLowerCase(), '/tmp/x']],
    ['no path', ['wal-fetch', NAME]],
    ['an unknown option', ['wal-fetch', '--force', NAME, '/tmp/x']],
    ['no settings', ['wal-fetch', '--config', '/nowhere/walseal.toml', NAME, '/tmp/x']],
  ])('%s', async (_, argv) => {
    expect(await call(argv)).toMatchObject({ status: 201 });
  });

  test('options behind the name: the launcher takes the last two arguments for name and path', async () => {
    const { cluster } = await archived();
    const [config, path] = [['--config', cluster.config], cluster.walPath('RECOVERYXLOG')];
    for (const argv of [
      [NAME, path, ...config],
      [NAME, ...config, path],
    ]) {
      expect(await call(['wal-fetch', ...argv])).toMatchObject({ status: 201 });
    }
    expect(walFiles(cluster)).toEqual([]);
  });

  test('an identity file that is not there', async () => {
    const { cluster } = await archived();
    removePath(cluster.keys.identity);
    const said = await fetch(cluster, NAME);
    expect(said.status).toBe(201);
    expect(said.failure).toContain(cluster.keys.identity);
    expect(walFiles(cluster)).toEqual([]);
  });

  test('the same where the file is in no archive: with bad keys nothing is said to be absent', async () => {
    const { cluster } = await archived();
    removePath(cluster.keys.identity);
    const said = await fetch(cluster, NEXT);
    expect(said.status).toBe(201);
    expect(said.failure).toContain(cluster.keys.identity);
  });

  test('a data directory whose pg_control is broken', async () => {
    const { cluster } = await archived();
    flip(join(cluster.dataDirectory, 'global', 'pg_control'), 0);
    expect(await fetch(cluster, NAME)).toMatchObject({ status: 201 });
  });
});

describe('which cluster is meant, by hand and without a data directory', () => {
  const destination = (cluster: TestCluster): string => join(cluster.root, 'fetched');

  test('the only one in the archive', async () => {
    const { cluster, content } = await archived();
    expect(await call(['wal-fetch', '--config', cluster.config, NAME, destination(cluster)])).toMatchObject({
      status: 0,
    });
    expect(readFileSync(destination(cluster)).equals(content)).toBe(true);
  });

  test('of several the one that --system-id names; without it they are listed', async () => {
    const { cluster } = await archived();
    const other = makeCluster({ beside: cluster });
    const theirs = other.segment(NAME, { seed: 'theirs' });
    await push(other, NAME);
    const argv = ['wal-fetch', '--config', cluster.config];
    const said = await call([...argv, NAME, destination(cluster)]);
    expect(said.status).toBe(201);
    expect(said.failure).toContain(cluster.systemId);
    expect(said.failure).toContain(other.systemId);
    expect(await call([...argv, '--system-id', other.systemId, NAME, destination(cluster)])).toMatchObject({
      status: 0,
    });
    expect(readFileSync(destination(cluster)).equals(theirs)).toBe(true);
    expect(await call([...argv, '--pgdata', cluster.dataDirectory, NAME, destination(cluster)])).toMatchObject({
      status: 0,
    });
    expect(readFileSync(destination(cluster)).equals(theirs)).toBe(false);
  });

  test.each(['0', '-1', 'abc', '99999999999999999999'])('--system-id %s is none', async (id) => {
    const { cluster } = await archived();
    expect(
      await call(['wal-fetch', '--config', cluster.config, `--system-id=${id}`, NAME, destination(cluster)]),
    ).toMatchObject({ status: 201 });
  });

  test('an empty archive and no data directory', async () => {
    const cluster = makeCluster();
    expect(await call(['wal-fetch', '--config', cluster.config, NAME, destination(cluster)])).toMatchObject({
      status: 201,
    });
  });

  test('--pgdata that is no data directory is not taken for "none"', async () => {
    const { cluster } = await archived();
    expect(
      await call(['wal-fetch', '--config', cluster.config, '--pgdata', cluster.root, NAME, destination(cluster)]),
    ).toMatchObject({ status: 201 });
  });
});
