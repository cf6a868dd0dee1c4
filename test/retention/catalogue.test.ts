import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { readCatalogue, type Catalogue, type CatalogueOptions } from '../../src/retention/catalogue.ts';
import { Deadline } from '../../src/storage/deadline.ts';
import { StorageError } from '../../src/storage/errors.ts';
import { parseControlFile } from '../../src/wal/control.ts';
import { known } from '../wal/arbitraries.ts';
import { Location } from './location.ts';
import { BACKUPS, fixture } from './manifests.ts';

function read(location: Location, options?: CatalogueOptions): Promise<Catalogue> {
  return readCatalogue(location, new Deadline(10_000), options);
}

async function problemsOf(location: Location): Promise<readonly string[]> {
  const { backups, others } = await read(location);
  expect([backups.length, others]).toEqual([1, []]);
  return known(backups[0]).problems;
}

/** The backup of 18 in a directory `b`. */
function plain(backup = '18-full'): Location {
  const location = new Location();
  location.putFixture('b', backup);
  return location;
}

describe.each(BACKUPS)('a data directory as it really is: %s', (backup) => {
  test('nothing is wrong with it, and it says what it is', async () => {
    const { backups, others } = await read(plain(backup));
    const control = parseControlFile(fixture(backup, 'global/pg_control'));
    const isFull = backup.endsWith('full');
    expect(others).toEqual([]);
    expect(backups).toMatchObject([
      {
        path: 'memory://test/b',
        label: isFull ? 'a label\nof two lines' : 'pg_basebackup base backup',
        kind: isFull ? 'full' : 'incremental',
        systemId: control.systemId,
        segmentSize: 16 * 1024 * 1024,
        problems: [],
      },
    ]);
    expect([...known(backups[0]).ownWal]).toHaveLength(isFull ? 1 : 0);
    expect(known(backups[0]).incrementalFrom === undefined).toBe(isFull);
  });
});

test('several lie side by side, in one another, in the location itself, and in a listing of any order', async () => {
  const location = new Location();
  const places = ['', 'daily/full', 'daily/full/inner', 'weekly/a/b/c/d'];
  for (const [index, place] of places.entries()) location.putFixture(place, known(BACKUPS[index]));
  const inOrder = await read(location);
  expect(inOrder.backups.map(({ path }) => path)).toEqual([
    'memory://test',
    ...places.slice(1).map((place) => `memory://test/${place}`),
  ]);
  expect([...inOrder.backups.flatMap(({ problems }) => problems), ...inOrder.others]).toEqual([]);
  location.order = (a, b) => (a.key < b.key ? 1 : -1);
  expect(await read(location)).toEqual(inOrder);
  const rank = (key: string): number => (key.length * 7919) % 101;
  location.order = (a, b) => rank(a.key) - rank(b.key);
  expect(await read(location)).toEqual(inOrder);
});

describe('a data directory that is not what its manifest says', () => {
  test.each<[string, (location: Location) => void, string | RegExp]>([
    ['a file is missing', (b) => b.remove('b/base/1/1259'), 'a file of its manifest is missing: base/1/1259'],
    [
      'several are',
      (b) => ['b/base/1/1259', 'b/base/1/1249', 'b/PG_VERSION'].forEach((key) => b.remove(key)),
      /^3 files of its manifest are missing, the first of them PG_VERSION$/,
    ],
    [
      'a file has another size',
      (b) => b.put('b/PG_VERSION', 4),
      'a file of its manifest is of another size: PG_VERSION, which has 4 bytes instead of 3',
    ],
    ['the label is missing', (b) => b.remove('b/backup_label'), /is missing: backup_label$/],
    [
      'the label is another',
      (b) => b.put('b/backup_label', fixture('18-full', 'backup_label').toString().replace('two', 'six')),
      /^backup_label can't be read: it has the CRC32C checksum/,
    ],
    [
      'pg_control is another',
      (b) => b.put('b/global/pg_control', fixture('17-full', 'global/pg_control')),
      /^global\/pg_control can't be read: it has the CRC32C checksum/,
    ],
  ])('%s', async (_, damage, problem) => {
    const location = plain();
    damage(location);
    const [first = '', ...more] = await problemsOf(location);
    expect(more).toEqual([]);
    if (typeof problem === 'string') expect(first).toBe(problem);
    else expect(first).toMatch(problem);
  });

  test('what pg_basebackup -R and a person change is no matter', async () => {
    const location = plain();
    location.put('b/postgresql.auto.conf', 4711);
    location.put('b/standby.signal', 0);
    location.put('b/notes.txt', 12);
    location.put('b/base/1/backup_label', 12);
    expect(await problemsOf(location)).toEqual([]);
  });

  test('a missing file of any name is seen', async () => {
    const files = fixture('16-full', 'listing').toString().trimEnd().split('\n');
    const paths = files
      .map((line) => line.replace(/^\d+ /, ''))
      .filter((path) => !/^pg_wal|^backup_man|auto\.conf/.test(path));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...paths), async (path) => {
        const location = plain('16-full');
        location.remove(`b/${path}`);
        expect(await problemsOf(location)).toEqual([`a file of its manifest is missing: ${path}`]);
      }),
      { numRuns: 20 },
    );
  });

  test('segments that are not whole, or not segments, are not its own WAL', async () => {
    const location = plain();
    const [segment] = known((await read(location)).backups[0]).ownWal;
    location.put(`b/pg_wal/${known(segment)}`, 16 * 1024 * 1024 - 1);
    location.put('b/pg_wal/000000010000000000000009.partial', 16 * 1024 * 1024);
    location.put('b/pg_wal/archive_status/000000010000000000000009', 16 * 1024 * 1024);
    location.put('b/pg_wal/000000010000000000000010', 16 * 1024 * 1024);
    expect([...known((await read(location)).backups[0]).ownWal]).toEqual(['000000010000000000000010']);
  });
});

describe('what is no backup is named, and never an error', () => {
  test('backups that are being taken, or were broken off', async () => {
    const location = plain();
    for (const key of ['new/backup_label', 'new/PG_VERSION', 'new/base/1/PG_VERSION', 'new/base/1/1259'])
      location.put(key, 1);
    for (const key of ['tars/16384.tar.gz', 'tars/backup_manifest.tmp', 'x/y/base.tar', 'x/y/pg_wal.tar'])
      location.put(key, 1);
    const { backups, others } = await read(location);
    expect(backups).toHaveLength(1);
    expect(others.map(({ path, kind, reason }) => [path, kind, reason.slice(0, 7)])).toEqual([
      ['memory://test/new', 'unfinished', '4 files'],
      ['memory://test/tars', 'unfinished', '2 files'],
      ['memory://test/x/y', 'unfinished', '2 files'],
    ]);
  });

  test('a location that is itself one', async () => {
    const location = new Location();
    for (const key of ['backup_label', 'PG_VERSION', 'base/1/1259', 'global/1213']) location.put(key, 1);
    expect((await read(location)).others).toMatchObject([{ path: 'memory://test', kind: 'unfinished' }]);
  });

  test('other files, by the topmost directory that has no backup in it', async () => {
    const location = plain();
    location.put('README', 1);
    location.put('dumps/monday/all.sql', 1);
    location.put('dumps/tuesday/all.sql', 1);
    expect((await read(location)).others.map(({ path, kind, reason }) => [path, kind, reason])).toEqual([
      ['memory://test', 'foreign', 'one file, and no backup_manifest'],
      ['memory://test/dumps', 'foreign', '2 files, and no backup_manifest'],
    ]);
  });

  test('an empty location', async () => {
    expect(await read(new Location())).toEqual({ backups: [], others: [], manifests: [] });
  });

  test('a manifest that is wrong, vanishes, or lies too deep', async () => {
    const location = plain();
    const manifest = fixture('18-full', 'backup_manifest').toString();
    location.put('cut/backup_manifest', manifest.slice(0, -10));
    location.put('changed/backup_manifest', manifest.replace('"Size": 3,', '"Size": 4,'));
    location.put('gone/backup_manifest', 7);
    location.put('1/2/3/4/5/6/7/8/9/backup_manifest', manifest);
    const { backups, others } = await read(location);
    expect(backups).toHaveLength(1);
    expect(others.map(({ kind }) => kind)).toEqual(Array.from({ length: 4 }, () => 'unreadable'));
    const expected = [
      ['1/2/3/4/5/6/7/8/9', 'it lies deeper than 8 directories below the location'],
      ['changed', "its backup_manifest can't be used: its checksum is said to be "],
      ['cut', 'it is cut'],
      ['gone', 'there is no gone/backup_manifest'],
    ] as const;
    for (const [index, [path, reason]] of expected.entries()) {
      expect(others[index]?.path).toBe(`memory://test/${path}`);
      expect(others[index]?.reason).toContain(reason);
    }
  });
});

describe('what fails, fails the catalogue', () => {
  const unreachable = new StorageError('unreachable', 'a cable was pulled');

  test('a listing that breaks off', async () => {
    const location = plain();
    location.list = async function* () {
      yield [{ key: 'b/backup_manifest', size: 1, modified: new Date() }];
      await Promise.reject(unreachable);
    };
    await expect(read(location)).rejects.toBe(unreachable);
  });

  test.each(['backup_manifest', 'backup_label', 'global/pg_control'])('a store that fails at %s', async (file) => {
    const location = plain();
    const get = location.get.bind(location);
    location.get = (key, deadline) => (key === `b/${file}` ? Promise.reject(unreachable) : get(key, deadline));
    await expect(read(location)).rejects.toBe(unreachable);
  });

  test('a second listing that fails, of one backup', async () => {
    const location = plain();
    const list = location.list.bind(location);
    location.list = async function* (prefix, options, deadline) {
      if (prefix !== '') await Promise.reject(unreachable);
      yield* list(prefix, options, deadline);
    };
    await expect(read(location)).rejects.toBe(unreachable);
  });

  test('time that is up', async () => {
    const deadline = new Deadline(0);
    await deadline.wait(1).catch(() => undefined);
    await expect(readCatalogue(plain(), deadline)).rejects.toThrow('was not done within');
  });

  test('more backups than can be taken in', async () => {
    const location = new Location();
    for (let index = 0; index <= 10_000; index += 1) location.put(`${index}/backup_manifest`, 1);
    await expect(read(location)).rejects.toThrow('memory://test holds more than 10000 base backups');
  });
});
