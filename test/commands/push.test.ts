import { createPublicKey } from 'node:crypto';
import { readFileSync, renameSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { generateSigningKey } from '../../src/seal/keys.ts';
import { flip, MIB, removePath } from '../harness/cluster.ts';
import { VERSIONS } from '../harness/server-user.ts';
import { call, fetch, makeCluster, push } from './in-process.ts';

const NAME = '00000001000000000000002A';

describe('a push stores a file once', () => {
  test('under the key of its cluster and name, to be opened again', async () => {
    const cluster = makeCluster();
    const content = cluster.segment(NAME);
    expect(await push(cluster, NAME)).toMatchObject({ status: 0, warnings: '', out: '' });
    expect(cluster.objects()).toEqual([`${cluster.systemId}/wal/0000000100000000/${NAME}`]);
    expect(await fetch(cluster, NAME)).toMatchObject({ status: 0 });
    expect(readFileSync(cluster.walPath('RECOVERYXLOG')).equals(content)).toBe(true);
  });

  test('and compresses what it stores', async () => {
    const cluster = makeCluster();
    cluster.segment(NAME);
    await push(cluster, NAME);
    expect(readFileSync(cluster.objectPath(NAME)).length).toBeLessThan(MIB / 2);
  });

  test.each(VERSIONS)('of a server of version %i', async (version) => {
    const cluster = makeCluster({ version });
    cluster.segment(NAME);
    expect(await push(cluster, NAME)).toMatchObject({ status: 0, warnings: '' });
  });

  test.each([
    ['a history file', '00000002.history', '1\t0/2A000028\tno recovery target specified\n'],
    ['a backup history file', `${NAME}.00000028.backup`, 'START WAL LOCATION: 0/2A000028\n'],
  ])('also %s', async (_, name, text) => {
    const cluster = makeCluster();
    cluster.walFile(name, text);
    expect(await push(cluster, name)).toMatchObject({ status: 0, warnings: '' });
    expect(await fetch(cluster, name)).toMatchObject({ status: 0 });
    expect(readFileSync(cluster.walPath('RECOVERYXLOG'), 'utf8')).toBe(text);
  });

  test('beside its .partial with another content', async () => {
    const cluster = makeCluster();
    cluster.segment(NAME);
    cluster.segment(`${NAME}.partial`, { seed: 'the tail of the old timeline' });
    expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
    expect(await push(cluster, `${NAME}.partial`)).toMatchObject({ status: 0 });
    expect(cluster.objects()).toHaveLength(2);
  });

  test('and proves the same content identical afterwards, without a trace', async () => {
    const cluster = makeCluster();
    cluster.segment(NAME);
    await push(cluster, NAME);
    const before = cluster.state();
    expect(await push(cluster, NAME)).toMatchObject({ status: 0, warnings: '' });
    expect(cluster.state()).toEqual(before);
  });

  test('whatever became of compression, encryption and recipients meanwhile', async () => {
    const cluster = makeCluster();
    const other = makeCluster();
    cluster.segment(NAME);
    await push(cluster, NAME);
    const before = cluster.state();
    cluster.settings({ encrypted: false, top: '' });
    expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
    writeFileSync(
      cluster.config,
      `[[archive]]\nurl = "file://${cluster.archive}"\n[encryption]\nrecipients = ["${other.keys.recipient}"]\n[compression]\nlevel = 9\n`,
    );
    expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
    expect(cluster.state()).toEqual(before);
  });

  test('with nothing but the public key', async () => {
    const cluster = makeCluster({ settings: { identity: false } });
    removePath(join(cluster.root, 'keys', 'identity.txt'));
    cluster.segment(NAME);
    expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
    expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
  });

  test('verified by reading it back, where the settings say so', async () => {
    const cluster = makeCluster({ settings: { top: 'verify = "readback"' } });
    cluster.segment(NAME);
    expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
    expect(await fetch(cluster, NAME)).toMatchObject({ status: 0 });
  });

  test('with two clusters in one archive apart', async () => {
    const one = makeCluster();
    const two = makeCluster({ beside: one });
    one.segment(NAME);
    two.segment(NAME, { seed: 'another' });
    expect(await push(one, NAME)).toMatchObject({ status: 0 });
    expect(await push(two, NAME)).toMatchObject({ status: 0 });
    expect(one.objects()).toHaveLength(2);
  });
});

describe('a different file under the same name', () => {
  test('is refused with both sides shown, and nothing is touched', async () => {
    const cluster = makeCluster();
    const first = cluster.segment(NAME);
    await push(cluster, NAME);
    const before = cluster.state();
    const second = cluster.segment(NAME, { seed: 'rolled back' });
    const said = await push(cluster, NAME);
    expect(said.status).toBe(73);
    expect(said.failure).toContain(cluster.fingerprint(first));
    expect(said.failure).toContain(cluster.fingerprint(second));
    expect(said.failure).toContain(`${MIB} bytes`);
    expect(said.failure).toMatch(/there.*stored \d{4}-.*here.*modified \d{4}-/s);
    expect(said.failure).toMatch(/a copy of this cluster.*mode = "fetch".*walseal set-aside/s);
    expect(cluster.state()).toEqual(before);
  });

  test('of a copy of the cluster is told by content alone', async () => {
    const cluster = makeCluster();
    const copy = makeCluster({ systemId: cluster.systemId, beside: cluster });
    cluster.segment(NAME);
    await push(cluster, NAME);
    copy.segment(NAME);
    expect(await push(copy, NAME)).toMatchObject({ status: 0 });
    copy.segment(NAME, { seed: 'promoted by mistake' });
    expect(await push(copy, NAME)).toMatchObject({ status: 73 });
  });
});

describe('a corrupt object in its place', () => {
  test.each([
    ['a flipped bit in the payload', (path: string) => flip(path, readFileSync(path).length - 9)],
    ['a flipped bit in the header', (path: string) => flip(path, 40)],
    ['a truncated object', (path: string) => truncateSync(path, 5_000)],
    ['an empty object', (path: string) => truncateSync(path, 0)],
    ['bytes of something else', (path: string) => writeFileSync(path, 'not an object of ours')],
  ])('%s ends with 74 and stays as it is', async (_, damage) => {
    const cluster = makeCluster();
    cluster.segment(NAME);
    await push(cluster, NAME);
    damage(cluster.objectPath(NAME));
    const before = cluster.state();
    const said = await push(cluster, NAME);
    expect(said.status).toBe(74);
    expect(said.failure).toContain(`archive file://${cluster.archive} holds a corrupt object`);
    expect(cluster.state()).toEqual(before);
  });

  test('so does an object that belongs under another name', async () => {
    const cluster = makeCluster();
    cluster.segment(NAME);
    await push(cluster, NAME);
    const next = '00000001000000000000002B';
    renameSync(cluster.objectPath(NAME), cluster.objectPath(next));
    cluster.segment(next);
    expect(await push(cluster, next)).toMatchObject({ status: 74 });
  });
});

describe('signatures', () => {
  const signing = (key: string, ...trusted: string[]): string =>
    `key_file = "${key}"\ntrusted = ${JSON.stringify(trusted)}`;

  test('our content without a signature that is trusted is refused, and the message says so', async () => {
    const cluster = makeCluster();
    cluster.segment(NAME);
    await push(cluster, NAME);
    cluster.settings({ signing: signing(cluster.keys.signing) });
    const before = cluster.state();
    const said = await push(cluster, NAME);
    expect(said.status).toBe(73);
    expect(said.failure).toMatch(/with this content, but no trusted key signed it: it is not signed/);
    expect(said.failure).toMatch(/No key can be listed for it.*walseal set-aside/s);
    expect(cluster.state()).toEqual(before);
  });

  test('so is our content by a stranger, unless his key is listed', async () => {
    const cluster = makeCluster();
    const stranger = makeCluster({ systemId: cluster.systemId, beside: cluster });
    const { privatePem, publicPem } = generateSigningKey();
    const [privateKey, publicKey] = [join(stranger.root, 'key.pem'), join(stranger.root, 'key.pub.pem')];
    writeFileSync(privateKey, privatePem);
    writeFileSync(publicKey, publicPem);
    stranger.settings({ signing: `key_file = "${privateKey}"` });
    stranger.segment(NAME);
    expect(await push(stranger, NAME)).toMatchObject({ status: 0 });

    cluster.segment(NAME);
    cluster.settings({ signing: signing(cluster.keys.signing) });
    const said = await push(cluster, NAME);
    expect(said.status).toBe(73);
    const theirKey = createPublicKey(publicPem).export({ format: 'der', type: 'spki' }).subarray(-32).toString('hex');
    expect(said.failure).toContain(`it is signed by ${theirKey}`);
    expect(said.failure).toContain(`add its public key, ${theirKey}, to [signing] trusted`);
    cluster.settings({ signing: signing(cluster.keys.signing, publicKey) });
    expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
  });

  test('a host trusts its own key even with an empty list', async () => {
    const cluster = makeCluster();
    cluster.settings({ signing: signing(cluster.keys.signing) });
    cluster.segment(NAME);
    expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
    expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
  });

  test('a host that would refuse what it pushes does not push', async () => {
    const cluster = makeCluster({ settings: { signing: 'trusted = []' } });
    cluster.segment(NAME);
    const said = await push(cluster, NAME);
    expect(said.status).toBe(64);
    expect(said.failure).toContain('key_file');
    expect(cluster.objects()).toEqual([]);
  });
});

describe('a file that is not what it claims to be ends with 65, and nothing is stored', () => {
  test.each([
    ['a name of lower-case digits', '00000001000000000000002a', /not the name of a WAL file/],
    ['a temporary name', 'xlogtemp.123', /not the name of a WAL file/],
    ['timeline 0', '00000000000000000000002A', /not the name of a WAL file/],
  ])('%s', async (_, name, message) => {
    const cluster = makeCluster();
    cluster.walFile(name, 'x');
    const said = await push(cluster, name);
    expect(said.status).toBe(65);
    expect(said.failure).toMatch(message);
    expect(cluster.objects()).toEqual([]);
  });

  const wrong: [string, Buffer | Parameters<ReturnType<typeof makeCluster>['segment']>[1], RegExp][] = [
    ['filled with zeros', Buffer.alloc(MIB), /filled with zeros/],
    ['empty', Buffer.alloc(0), /0 bytes/],
    ['of another page address', { header: { pageAddress: 0n } }, /page address is 0\/0, the name says 0\/2A00000/],
    ['of another cluster', { header: { systemId: '7000000000000000001' } }, /system identifier is 7000000000000000001/],
    ['of a later timeline', { header: { timeline: 2 } }, /timeline is 2, the name says 1/],
    ['of another size', { header: { segmentSize: 2 * MIB } }, /segment size is 2097152 bytes, the file has 1048576/],
    ['without the long header', { header: { info: 0 } }, /no long page header/],
  ];
  test.each(wrong)('a segment %s', async (_, made, message) => {
    const cluster = makeCluster();
    if (Buffer.isBuffer(made)) cluster.walFile(NAME, made);
    else cluster.segment(NAME, made);
    const said = await push(cluster, NAME);
    expect(said.status).toBe(65);
    expect(said.failure).toMatch(message);
    // The data directory has a space in its name.
    expect(said.failure).toContain(`"walseal set-aside '${cluster.walPath(NAME)}'"`);
    expect(cluster.objects()).toEqual([]);
  });

  test('a truncated segment', async () => {
    const cluster = makeCluster();
    cluster.segment(NAME);
    truncateSync(cluster.walPath(NAME), MIB - 8192);
    expect(await push(cluster, NAME)).toMatchObject({ status: 65 });
    expect(cluster.objects()).toEqual([]);
  });

  test('an empty history file, a directory, and nothing at all', async () => {
    const cluster = makeCluster();
    cluster.walFile('00000002.history', '');
    expect(await push(cluster, '00000002.history')).toMatchObject({ status: 65 });
    expect(await push(cluster, NAME)).toMatchObject({ status: 65 });
    expect(
      await call(['wal-push', '--config', cluster.config, '--pgdata', cluster.dataDirectory, '/tmp']),
    ).toMatchObject({
      status: 65,
    });
    expect(cluster.objects()).toEqual([]);
  });
});

describe('what is only unusual is a warning', () => {
  test('the pages of a server that is newer than this program', async () => {
    const cluster = makeCluster();
    cluster.segment(NAME, { header: { magic: 0xd1ff } });
    const said = await push(cluster, NAME);
    expect(said.status).toBe(0);
    expect(said.warnings).toMatch(/D1FF/i);
    expect(cluster.objects()).toHaveLength(1);
  });

  test('the pg_control of a server that is newer than this program', async () => {
    const cluster = makeCluster();
    const { makeControlFile } = await import('../harness/cluster.ts');
    const { crc32c } = await import('../../src/wal/crc32c.ts');
    const control = makeControlFile(18, cluster.systemId, cluster.nonce);
    control.writeUInt32LE(1900, 8);
    control.writeUInt32LE(crc32c(control.subarray(0, 292)), 292);
    writeFileSync(join(cluster.dataDirectory, 'global', 'pg_control'), control);
    cluster.segment(NAME);
    const said = await push(cluster, NAME);
    expect(said.status).toBe(0);
    expect(said.warnings).toMatch(/unknown version 1900/);
  });
});

describe('settings and surroundings that cannot work end with 64, and nothing is stored', () => {
  test('no pg_control, or a broken one', async () => {
    const cluster = makeCluster();
    const control = join(cluster.dataDirectory, 'global', 'pg_control');
    cluster.segment(NAME);
    flip(control, 100);
    expect(await push(cluster, NAME)).toMatchObject({ status: 64 });
    removePath(control);
    const said = await push(cluster, NAME);
    expect(said.status).toBe(64);
    expect(said.failure).toContain(control);
    expect(cluster.objects()).toEqual([]);
  });

  test.each([
    [
      'no required archive',
      { archives: ['url = "file:///nowhere"\nrequired = false'] },
      /no archive .* must have a file/,
    ],
    ['archives that are only read', { archives: ['url = "file:///nowhere"\nmode = "fetch"'] }, /no archive/],
    ['an unknown key', { top: 'deadlines = "1s"' }, /deadline/],
  ])('%s', async (_, settings, message) => {
    const cluster = makeCluster({ settings });
    cluster.segment(NAME);
    const said = await push(cluster, NAME);
    expect(said.status).toBe(64);
    expect(said.failure).toMatch(message);
  });

  test('neither recipients nor the word "none"', async () => {
    const cluster = makeCluster();
    writeFileSync(cluster.config, `[[archive]]\nurl = "file://${cluster.archive}"\n`);
    cluster.segment(NAME);
    const said = await push(cluster, NAME);
    expect(said.status).toBe(64);
    expect(said.failure).toContain('encryption = "none"');
    expect(cluster.objects()).toEqual([]);
  });

  test('no settings at all, a path too few, a path too many', async () => {
    expect(await call(['wal-push', '--config', '/nowhere/walseal.toml', NAME])).toMatchObject({ status: 64 });
    expect(await call(['wal-push'])).toMatchObject({ status: 64 });
    expect(await call(['wal-push', NAME, NAME])).toMatchObject({ status: 64 });
  });
});

test('a file that cannot be read to its end is no bug: 75', async () => {
  const cluster = makeCluster();
  // The kernel's own way to give a regular file whose every read fails.
  symlinkSync('/proc/self/mem', cluster.walPath(NAME));
  const said = await push(cluster, NAME);
  expect(said.status).toBe(75);
  expect(said.failure).toContain('EIO');
});

test('an archive whose directory is missing ends with 69, and the directory is not made', async () => {
  const cluster = makeCluster();
  removePath(cluster.archive);
  cluster.segment(NAME);
  const said = await push(cluster, NAME);
  expect(said.status).toBe(69);
  expect(said.failure).toContain(cluster.archive);
  expect(cluster.objects()).toEqual([]);
});

test('without encryption it stores and opens as well', async () => {
  const cluster = makeCluster({ settings: { encrypted: false } });
  const content = cluster.segment(NAME);
  expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
  expect(await push(cluster, NAME)).toMatchObject({ status: 0 });
  expect(await fetch(cluster, NAME)).toMatchObject({ status: 0 });
  expect(readFileSync(cluster.walPath('RECOVERYXLOG')).equals(content)).toBe(true);
});
