import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';

import { builtDist } from '../harness/dist.ts';
import { MIB, removePath } from '../harness/cluster.ts';
import { makeCluster } from './in-process.ts';

const NAME = '00000001000000000000002A';
const PATH = `pg_wal/${NAME}`;

beforeAll(async () => {
  await builtDist();
});

describe.each(['bin', 'dist'] as const)('wal-push of %s/, run as the server does', (launcher) => {
  test('stores, proves identical, refuses, sets aside', async () => {
    const cluster = makeCluster();
    const first = cluster.segment(NAME);
    const run = () => cluster.run('wal-push', [PATH], { launcher });
    expect(await run()).toEqual({ status: 0, signal: null, stdout: '', stderr: '' });
    const stored = cluster.state();
    expect(await run()).toEqual({ status: 0, signal: null, stdout: '', stderr: '' });

    const second = cluster.segment(NAME, { seed: 'another' });
    const refused = await run();
    expect(refused).toMatchObject({ status: 73, stdout: '' });
    expect(refused.stderr).toMatch(
      /^wal-push: archive file:.* holds a different file .*\nwal-push: hint: Nothing was overwritten/,
    );
    for (const content of [first, second]) expect(refused.stderr).toContain(cluster.fingerprint(content));
    expect(cluster.state()).toEqual(stored);

    const aside = await cluster.run('walseal', ['set-aside', PATH], { launcher });
    expect(aside).toMatchObject({ status: 0, stderr: '' });
    expect(aside.stdout).toContain(cluster.fingerprint(second));
    const accepted = await run();
    expect(accepted.status).toBe(0);
    expect(accepted.stderr).toContain('was set aside');
    expect(cluster.state()).toMatchObject(stored);
  });

  test('what each of the two seals, the other one opens', async () => {
    const cluster = makeCluster();
    const content = cluster.segment(NAME, { bytes: 16 * MIB });
    const other = launcher === 'bin' ? 'dist' : 'bin';
    expect(await cluster.run('wal-push', [PATH], { launcher })).toMatchObject({ status: 0, stderr: '' });
    expect(await cluster.run('wal-push', [PATH], { launcher: other })).toMatchObject({ status: 0, stderr: '' });
    expect(await cluster.run('wal-fetch', [NAME, 'pg_wal/RECOVERYXLOG'], { launcher: other })).toMatchObject({
      status: 0,
      stderr: '',
    });
    expect(readFileSync(cluster.walPath('RECOVERYXLOG')).equals(content)).toBe(true);
  });

  test('reads it back where the settings say so', async () => {
    const cluster = makeCluster({ settings: { top: 'verify = "readback"' } });
    cluster.segment(NAME);
    expect(await cluster.run('wal-push', [PATH], { launcher })).toMatchObject({ status: 0, stderr: '' });
  });

  test('ends with 64, 65, 69, 74 where it must', async () => {
    const cluster = makeCluster();
    const status = async (name = NAME): Promise<number | null> =>
      (await cluster.run('wal-push', [`pg_wal/${name}`], { launcher })).status;
    cluster.walFile(NAME, Buffer.alloc(MIB));
    expect(await status()).toBe(65);
    expect(await status('00000001000000000000002B')).toBe(65);
    cluster.segment(NAME);
    expect(await status()).toBe(0);
    cluster.walFile('00000002.history', '1\t0/2A80000\tno recovery target specified\n');
    expect(await status('00000002.history')).toBe(0);
    const object = cluster.objectPath(NAME);
    rmSync(object);
    mkdirSync(object);
    expect(await status()).toBe(0); // Timeline 1 has ended in it: aside.
    removePath(cluster.walPath('00000002.history'));
    expect(await status()).toBe(74);
    removePath(cluster.archive);
    expect(await status()).toBe(69);
    removePath(join(cluster.dataDirectory, 'global', 'pg_control'));
    expect(await status()).toBe(64);
  });
});

test('a segment of 128 MB, which is sealed a second time as it is stored', async () => {
  const cluster = makeCluster({ settings: { top: 'verify = "readback"' } });
  const name = '000000010000000000000001';
  const content = cluster.segment(name, { bytes: 128 * MIB });
  const run = () => cluster.run('wal-push', [`pg_wal/${name}`], { launcher: 'dist' });
  expect(await run()).toMatchObject({ status: 0, stderr: '' });
  expect(await run()).toMatchObject({ status: 0, stderr: '' });
  const fetched = await cluster.run('wal-fetch', [name, 'pg_wal/RECOVERYXLOG'], { launcher: 'dist' });
  expect(fetched).toMatchObject({ status: 0, stderr: '' });
  expect(readFileSync(cluster.walPath('RECOVERYXLOG')).equals(content)).toBe(true);
});

test('an archive that admits no writing ends with 77', async () => {
  const cluster = makeCluster();
  cluster.segment(NAME);
  cluster.giveToServer();
  expect(await cluster.run('wal-push', [PATH], { asServer: true })).toMatchObject({ status: 0 });
  cluster.segment('00000001000000010000002A');
  cluster.giveToServer();
  chmodSync(join(cluster.archive, cluster.systemId, 'wal'), 0o500);
  const denied = await cluster.run('wal-push', ['pg_wal/00000001000000010000002A'], { asServer: true });
  expect(denied.status).toBe(77);
  expect(denied.stderr).toContain('EACCES');
  chmodSync(join(cluster.archive, cluster.systemId, 'wal'), 0o700);
  expect(await cluster.run('wal-push', ['pg_wal/00000001000000010000002A'], { asServer: true })).toMatchObject({
    status: 0,
  });
});

test('a file that the server`s user may not read, and keys that he may not read', async () => {
  const cluster = makeCluster({ settings: {} });
  cluster.segment(NAME);
  cluster.settings({ signing: `key_file = "${cluster.keys.signing}"` });
  cluster.giveToServer();
  chmodSync(cluster.walPath(NAME), 0);
  expect(await cluster.run('wal-push', [PATH], { asServer: true })).toMatchObject({ status: 75 });
  chmodSync(cluster.walPath(NAME), 0o600);
  chmodSync(cluster.keys.signing, 0);
  const keyless = await cluster.run('wal-push', [PATH], { asServer: true });
  expect(keyless.status).toBe(64);
  expect(keyless.stderr).toContain(cluster.keys.signing);
  expect(cluster.objects()).toEqual([]);
});

/** A small file system, or undefined where we may not mount one. */
function smallDisk(): string | undefined {
  const path = mkdtempSync(join(tmpdir(), 'walseal-small-disk-'));
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=128k', 'walseal-test', path]);
  if (status !== 0) {
    rmSync(path, { recursive: true });
    return undefined;
  }
  onTestFinished(() => {
    spawnSync('umount', ['-l', path]);
    rmSync(path, { recursive: true });
  });
  return path;
}

test('a disk that is full ends with 75, nothing half is left, and with room it goes on', (context) => {
  const disk = smallDisk();
  if (disk === undefined) {
    if (process.env['CI'] === 'true') throw new Error('the test needs to mount a small file system');
    context.skip('it needs to mount a small file system');
    return undefined;
  }
  return fills(disk);
});

async function fills(disk: string): Promise<void> {
  const cluster = makeCluster({ settings: { archives: [`url = "file://${disk}"\nmounted = true`] } });
  cluster.segment(NAME);
  const full = await cluster.run('wal-push', [PATH]);
  expect(full.status).toBe(75);
  expect(full.stderr).toContain('ENOSPC');
  expect(cluster.objects(disk)).toEqual([]);
  spawnSync('mount', ['-o', 'remount,size=4m', disk]);
  expect(await cluster.run('wal-push', [PATH])).toMatchObject({ status: 0 });
  expect(cluster.objects(disk)).toHaveLength(1);
}
