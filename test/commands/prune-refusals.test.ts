/** wal-prune fails closed: each of these ends with a message that says what to do, and nothing is deleted. */
import { mkdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test, vi } from 'vitest';

import { StorageError } from '../../src/storage/errors.ts';
import { flip, removePath } from '../harness/cluster.ts';
import { Life } from '../retention/life.ts';
import { FaultyStorage } from '../storage/faults.ts';
import { call, standIn, type Said } from './in-process.ts';
import { PrunePlace, SEGMENT, threeBackups, TOP } from './prune-place.ts';
import { Differing, directoryStore, Failing } from './stores.ts';
import type { Deadline } from '../../src/storage/deadline.ts';
import type { ListedObject, ListOptions } from '../../src/storage/storage.ts';

// Files share what they load: what the ones before loaded knows nothing of the stand-ins.
vi.hoisted(() => {
  vi.resetModules();
});
vi.mock(import('../../src/storage/connect.ts'), async (original) => {
  const [{ connect }, { connecting }] = await Promise.all([original(), import('./in-process.ts')]);
  return { connect: connecting(connect) };
});

interface Refusal {
  readonly status: number;
  /** In the failure, or in a warning. */
  readonly says: RegExp | string;
  /** What the hint says. */
  readonly hint?: RegExp | string;
  readonly options?: readonly string[];
}

/** Prunes with --apply, and sees that it is refused, and that not one byte of the archive has changed. */
async function refuses(place: PrunePlace, { status, says, hint = '', options = [] }: Refusal): Promise<Said> {
  const before = place.cluster.state();
  const said = await place.prune('--apply', ...options);
  expect({ status: said.status, text: said.failure + said.warnings }).toEqual({
    status,
    text: expect.stringMatching(says) as string,
  });
  expect(said.failure).toMatch(hint);
  expect(place.cluster.state()).toEqual(before);
  return said;
}

async function made(): Promise<PrunePlace> {
  return PrunePlace.make(threeBackups().remains());
}

/** Gives the first page of a listing, and then throws or ends, as a store does that can't be trusted. */
class CutShort extends Differing {
  override async *list(
    prefix: string,
    options: ListOptions,
    deadline: Deadline,
  ): AsyncGenerator<readonly ListedObject[]> {
    for await (const page of super.list(prefix, options, deadline)) {
      yield page.slice(0, 3);
      throw new StorageError('unreachable', 'the listing broke off', { retryable: false });
    }
  }
}

describe('settings', () => {
  test('none, wrong ones, no policy', async () => {
    expect(await call(['wal-prune', '--config', '/nowhere/walseal.toml'])).toMatchObject({ status: 64 });
    const place = await made();
    writeFileSync(place.cluster.config, 'keep_backup = 2\n');
    await refuses(place, { status: 64, says: 'keep_backups' });
    place.settings({ top: '' });
    await refuses(place, { status: 64, says: 'no policy says what is to be kept', hint: 'keep_backups = 2' });
  });

  test('no [[backups]]: what is there is shown, nothing goes, and --apply is refused', async () => {
    const place = await made();
    place.settings({ backups: [] });
    await refuses(place, { status: 64, says: /names no \[\[backups\]\]/, hint: 'history_files' });
    const said = await place.prune();
    expect(said.status).toBe(1);
    expect(said.out).toContain('all WAL stays:');
    expect(said.warnings).toContain('no base backup of system 7311111111111111111 is known');
  });

  test('a pin, and a label of vouched backups, that matches nothing', async () => {
    const place = await made();
    place.settings({ top: `${TOP}\nkeep = ["primry 1"]` });
    await refuses(place, { status: 64, says: 'keep = "primry 1" matches no backup' });
    place.settings({ backups: [`url = "file://${place.backups}"`, 'history_files = "nightly*"'] });
    await refuses(place, {
      status: 64,
      says: 'history_files = "nightly*" matches no backup history file'.replaceAll('*', '\\*'),
    });
  });

  test('no identity for the histories of an encrypted archive, or a wrong one', async () => {
    const place = await made();
    place.settings({ identity: false });
    await refuses(place, {
      status: 78,
      says: '00000002.history: object is encrypted',
      hint: /Prune reads history files.*identity_file/,
    });
  });
});

describe('base backups', () => {
  test('a location that is missing, empty, or holds something else', async () => {
    const place = await made();
    renameSync(place.backups, `${place.backups}.away`);
    await refuses(place, { status: 69, says: /base backups in file:\S+: there is no directory/, hint: 'mounted' });
    mkdirSync(place.backups);
    await refuses(place, { status: 64, says: 'there is no base backup in file:', hint: 'a disk that is not mounted' });
    writeFileSync(join(place.backups, 'README'), 'x');
    await refuses(place, { status: 64, says: 'there is no base backup in file:' });
  });

  test('a second location that is empty, though the first is not', async () => {
    const place = await made();
    const empty = place.cluster.makeArchive('empty');
    place.settings({ backups: [`url = "file://${place.backups}"`, `url = "file://${empty}"`] });
    await refuses(place, { status: 64, says: `there is no base backup in file://${empty}` });
  });

  test.each([
    ['unreachable', 69],
    ['denied', 77],
  ] as const)('a location that is %s', async (kind, status) => {
    const place = await made();
    standIn(`file://${place.backups}`, new Failing(directoryStore(place.backups), kind));
    await refuses(place, { status, says: `base backups in file://${place.backups}: injected: ${kind}` });
  });

  test('a listing of a location that is cut short', async () => {
    const place = await made();
    standIn(`file://${place.backups}`, new CutShort(directoryStore(place.backups)));
    await refuses(place, { status: 69, says: 'the listing broke off' });
  });

  test('a manifest that is cut, or was changed', async () => {
    const place = await made();
    const manifest = join(place.backups, '1', 'backup_manifest');
    const whole = readFileSync(manifest);
    writeFileSync(manifest, whole.subarray(0, -20));
    await refuses(place, {
      status: 65,
      says: /a base backup can't be read:\n.*\/backups\/1: its backup_manifest/,
      hint: 'move it out',
    });
    writeFileSync(manifest, whole.toString().replace('"Size": 3', '"Size": 4'));
    await refuses(place, { status: 65, says: /\/backups\/1: its backup_manifest can't be used/ });
  });

  test('all of them lack files; none is there but half a one', async () => {
    const place = await made();
    for (const name of ['1', '2', '3']) rmSync(join(place.backups, name, 'PG_VERSION'));
    const said = await refuses(place, { status: 1, says: 'none of 3 base backups can be restored' });
    expect(said.out).toContain('a file of its manifest is missing: PG_VERSION');
    for (const name of ['1', '2', '3']) rmSync(join(place.backups, name, 'backup_manifest'));
    await refuses(place, { status: 1, says: 'no base backup of system' });
  });

  test('.backup files whose backup is gone, and those of standbys that were built, are no backups', async () => {
    const place = await made();
    for (const name of ['2', '3']) removePath(join(place.backups, name));
    const said = await place.prune('--apply');
    expect(said).toMatchObject({ status: 0, warnings: '' });
    expect(said.out).toContain('nothing to delete');
  });

  test('from the future', async () => {
    const place = await made();
    const time = new Date(Date.now() + 86_400_000);
    utimesSync(join(place.backups, '3', 'backup_manifest'), time, time);
    await refuses(place, {
      status: 65,
      says: /backup \S+\/3 ended at .* and the clock of this host says/,
      hint: 'Set the clock',
    });
  });
});

describe('the archive', () => {
  test('empty, of another cluster, or not there', async () => {
    const place = await made();
    const { archive } = place.cluster;
    await refuses(place, {
      status: 64,
      says: 'holds nothing of system 7399999999999999999',
      options: ['--system-id', '7399999999999999999'],
    });
    renameSync(archive, `${archive}.away`);
    await refuses(place, { status: 69, says: 'there is no directory', hint: 'mounted' });
    mkdirSync(archive);
    await refuses(place, {
      status: 64,
      says: 'the archive holds no WAL of any cluster',
      hint: 'A wrong URL or prefix',
    });
  });

  test('two clusters, and none chosen', async () => {
    const place = await made();
    place.put('7322222222222222222/wal/0000000100000001/000000010000000100000004', 3);
    await refuses(place, {
      status: 64,
      says: 'the archive holds several clusters: 7311111111111111111, 7322222222222222222',
      hint: '--system-id',
    });
  });

  test('a cluster that is named twice, and differently', async () => {
    const place = await made();
    await refuses(place, {
      status: 64,
      says: /is of system 7311111111111111111, and --system-id says 1/,
      options: ['--pgdata', place.cluster.dataDirectory, '--system-id', '1'],
    });
  });

  test('two segment sizes', async () => {
    const place = await made();
    // The made pg_control says 1 MB.
    await refuses(place, {
      status: 65,
      says: /two segment sizes: \S*( data)?\S*pg_control says 1 MB, and \S+ says 16 MB/,
      options: ['--pgdata', place.cluster.dataDirectory],
    });
  });

  test('a listing that is cut short, and one that can not be had', async () => {
    const place = await made();
    const url = `file://${place.cluster.archive}`;
    standIn(url, new CutShort(directoryStore(place.cluster.archive)));
    await refuses(place, { status: 69, says: `archive ${url}: the listing broke off` });
    standIn(url, new Failing(directoryStore(place.cluster.archive), 'denied'));
    await refuses(place, { status: 77, says: `archive ${url}: injected: denied` });
  });

  test('a listing that hangs ends with the deadline', async () => {
    const place = await made();
    place.settings({ top: `${TOP}\ndeadline = "300ms"` });
    standIn(`file://${place.cluster.archive}`, new FaultyStorage(directoryStore(place.cluster.archive), ['hang']));
    await refuses(place, { status: 69, says: 'prune received nothing for 300 ms' });
  });

  test('a history that is damaged, that names what can not be, or that is missing', async () => {
    const place = await made();
    const history = place.cluster.objectPath('00000002.history');
    const whole = readFileSync(history);
    flip(history, whole.length - 3);
    await refuses(place, { status: 65, says: '00000002.history: ' });
    rmSync(history);
    await refuses(place, { status: 65, says: 'but no 00000002.history', hint: 'Push 00000002.history' });
    mkdirSync(history);
    await refuses(place, { status: 65, says: 'but no 00000002.history' });
  });

  test('one that fails does not keep another from being pruned, and decides the status', async () => {
    const place = await made();
    const second = place.cluster.makeArchive('second');
    place.copyArchive(second);
    place.settings({ archives: ['', `url = "file://${second}"`] });
    standIn(`file://${place.cluster.archive}`, new Failing(directoryStore(place.cluster.archive), 'unreachable'));
    const said = await refuses(place, { status: 69, says: 'injected: unreachable' });
    expect(said.out).toContain(`archive file://${second}: 12 objects`);
  });

  test('WAL of a live timeline to which no backup leads stays, and it is said: 1', async () => {
    const life = new Life(1);
    life.backup(0, { bytes: SEGMENT, from: 'primary', brings: false });
    life.write(0, 3n * SEGMENT);
    life.promote(0);
    life.write(1, 2n * SEGMENT);
    const remains = life.remains();
    remains.objects.delete('0000000100000000000000FD');
    await refuses(await PrunePlace.make(remains), {
      status: 1,
      says: 'no backup that the policy counts can be recovered to the end of timeline 2, which is live',
    });
  });
});
