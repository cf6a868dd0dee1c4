/** The catalogue of tars that are made here, so that they can be wrong in every way. */
import { gzipSync, zstdCompressSync } from 'node:zlib';

import { describe, expect, test } from 'vitest';

import type { BaseBackup } from '../../src/retention/base-backup.ts';
import { readCatalogue, type CatalogueOptions } from '../../src/retention/catalogue.ts';
import { Deadline } from '../../src/storage/deadline.ts';
import { known } from '../wal/arbitraries.ts';
import { Location } from './location.ts';
import { writeManifest } from './manifests.ts';
import { writeTar } from './tar-writer.ts';

const MB = 1024 * 1024;
const SYSTEM = '7712419287301973546';
const LABEL =
  'START WAL LOCATION: 0/200028 (file 000000010000000000000002)\nCHECKPOINT LOCATION: 0/200080\n' +
  'BACKUP METHOD: streamed\nBACKUP FROM: primary\nSTART TIME: 2026-11-26 10:05:40 UTC\nLABEL: l\nSTART TIMELINE: 1\n';
const MAP = '16384 /a/path\\\n99999 of two lines\n16385 /b\n';
const RANGE = '{ "Timeline": 1, "Start-LSN": "0/200028", "End-LSN": "0/300000" }';

/** A segment of 1 MB; its first header is that of the server 18. */
function segment(number: number): Buffer {
  const bytes = Buffer.alloc(MB);
  bytes.writeUInt16LE(0xd118, 0);
  bytes.writeUInt16LE(2, 2);
  bytes.writeUInt32LE(1, 4);
  bytes.writeBigUInt64LE(BigInt(number * MB), 8);
  bytes.writeBigUInt64LE(BigInt(SYSTEM), 24);
  bytes.writeUInt32LE(MB, 32);
  bytes.writeUInt32LE(8192, 36);
  return bytes;
}

const TABLE = Buffer.alloc(20_000, 'x');
const CONTROL = Buffer.alloc(8192, 'c');
const WAL = writeTar([
  ['000000010000000000000002', segment(2)],
  ['000000010000000000000003', segment(3)],
]);
const BASE = writeTar([
  ['backup_label', Buffer.from(LABEL)],
  ['tablespace_map', Buffer.from(MAP)],
  ['base/'],
  ['base/1/'],
  ['base/1/1', TABLE],
  ['global/'],
  ['global/pg_control', CONTROL],
]);
const TABLESPACE = writeTar([['PG_18_1/'], ['PG_18_1/5/'], ['PG_18_1/5/7', TABLE]]);

/** A backup with two tablespaces, one of them empty, by a server of manifests of this version. */
function tars(version: '1' | '2' = '2'): Location {
  const location = new Location(1000);
  const files = { backup_label: Buffer.from(LABEL), tablespace_map: Buffer.from(MAP) };
  const others = { 'base/1/1': TABLE, 'global/pg_control': CONTROL, 'pg_tblspc/16384/PG_18_1/5/7': TABLE };
  const manifest = writeManifest(
    Object.entries({ ...files, ...others }).map(([path, content]) => ({ path, size: content.length, content })),
    { ranges: RANGE, version, ...(version === '1' && { head: '' }) },
  );
  location.put('b/backup_manifest', manifest);
  location.put('b/base.tar', BASE);
  location.put('b/16384.tar', TABLESPACE);
  location.put('b/16385.tar', writeTar([]));
  location.put('b/pg_wal.tar', WAL);
  return location;
}

function pack(location: Location, tar: string, suffix: string, packed: Uint8Array): void {
  location.remove(`b/${tar}`);
  location.put(`b/${tar}.${suffix}`, packed);
}

async function read(location: Location, options?: CatalogueOptions): Promise<BaseBackup> {
  const { backups, others } = await readCatalogue(location, new Deadline(10_000), options);
  expect([backups.length, others]).toEqual([1, []]);
  return known(backups[0]);
}

test.each(['1', '2'] as const)('tars as they should be, with a manifest of version %s', async (version) => {
  expect(await read(tars(version))).toMatchObject({
    label: 'l',
    kind: 'full',
    systemId: SYSTEM,
    segmentSize: MB,
    start: { timeline: 1, lsn: 0x200028n },
    stop: { timeline: 1, lsn: 0x300000n },
    startedAt: new Date('2026-11-26T10:05:40Z'),
    stoppedAt: new Date('2026-11-26T12:00:00Z'),
    ownWal: new Set(['000000010000000000000002', '000000010000000000000003']),
    problems: [],
  });
});

test('the whole of pg_wal.tar is read only where its WAL is wanted', async () => {
  const location = tars();
  const asked: string[] = [];
  const get = location.get.bind(location);
  location.get = (key, deadline) => {
    asked.push(key);
    return get(key, deadline);
  };
  const unwanted = await read(location, { wantsOwnWal: ({ path }) => path !== 'memory://test/b' });
  expect([unwanted.ownWal.size, unwanted.problems, asked]).toEqual([0, [], ['b/backup_manifest', 'b/base.tar']]);
});

test('of base.tar only the beginning is read', async () => {
  const location = tars();
  location.put('b/base.tar', Buffer.concat([BASE, Buffer.alloc(10 * MB)]));
  let given = 0;
  const get = location.get.bind(location);
  location.get = async (key, deadline) => {
    const object = await get(key, deadline);
    const counted = async function* (): AsyncGenerator<Uint8Array> {
      for await (const piece of object.bytes) {
        if (key.endsWith('base.tar')) given += piece.length;
        yield piece;
      }
    };
    return { ...object, bytes: counted() };
  };
  await read(location);
  expect(given).toBeLessThan(10_000);
});

describe('tars that are not what the manifest says', () => {
  test.each<[string, (location: Location) => void, readonly (string | RegExp)[]]>([
    [
      'the tar of a tablespace is missing',
      (b) => b.remove('b/16384.tar'),
      ['16384.tar is missing, in whatever packing'],
    ],
    ['that of an empty one is', (b) => b.remove('b/16385.tar'), ['16385.tar is missing, in whatever packing']],
    [
      'base.tar lacks its last file',
      (b) => b.put('b/base.tar', BASE.subarray(0, -1024 - 8192)),
      [/^base\.tar is cut: it has 25088 bytes, and the files in it take 34304$/],
    ],
    ['a tar lacks one byte', (b) => b.put('b/16384.tar', TABLESPACE.subarray(1)), [/^16384\.tar is cut: /]],
    ['a compressed one is empty', (b) => pack(b, '16384.tar', 'gz', Buffer.alloc(0)), ['16384.tar.gz is empty']],
    [
      'base.tar is none',
      (b) => b.put('b/base.tar', Buffer.alloc(BASE.length, 'x')),
      [/^base\.tar can't be read: this is no tar/],
    ],
    [
      'base.tar is cut in its label',
      (b) => b.put('b/base.tar', BASE.subarray(0, 600)),
      [/^base\.tar can't be read: the tar is cut/, /^base\.tar is cut/],
    ],
    [
      'the label is that of another backup',
      (b) =>
        b.put(
          'b/base.tar',
          Buffer.concat([writeTar([['backup_label', Buffer.from(LABEL.replace('streamed', 'pulled  '))]]), BASE]),
        ),
      [/^base\.tar can't be read: it has the SHA256 checksum/],
    ],
    [
      'the label is not where it belongs',
      (b) => b.put('b/base.tar', Buffer.concat([writeTar([['a'], ['b'], ['c'], ['d']]).subarray(0, 2048), BASE])),
      ["base.tar can't be read: backup_label is not among its first 4 entries"],
    ],
    [
      'pg_wal.tar is cut',
      (b) => b.put('b/pg_wal.tar', WAL.subarray(0, -5000)),
      ["pg_wal.tar can't be read: the tar is cut: it ends before its end"],
    ],
    [
      'pg_wal.tar has another segment than it says',
      (b) => b.put('b/pg_wal.tar', writeTar([['000000010000000000000002', segment(7)]])),
      ["pg_wal.tar can't be read: the segment 000000010000000000000002 in it is that of 0/700000"],
    ],
    [
      'pg_wal.tar.gz is cut',
      (b) => pack(b, 'pg_wal.tar', 'gz', gzipSync(WAL).subarray(0, -20)),
      [/^pg_wal\.tar\.gz can't be read: /],
    ],
    [
      'pg_wal.tar.zst is cut',
      (b) => pack(b, 'pg_wal.tar', 'zst', zstdCompressSync(WAL).subarray(0, -20)),
      [/^pg_wal\.tar\.zst can't be read: /],
    ],
  ])('%s', async (_, damage, expected) => {
    const location = tars();
    damage(location);
    const { problems } = await read(location);
    expect(problems).toHaveLength(expected.length);
    for (const [index, each] of expected.entries()) expect(problems[index]).toMatch(each);
  });

  test('a segment that is not whole is not its own', async () => {
    const location = tars();
    const wal = writeTar([
      ['000000010000000000000002', segment(2)],
      ['000000010000000000000003', segment(3).subarray(1)],
      ['00000002.history'],
    ]);
    location.put('b/pg_wal.tar', wal);
    expect([...(await read(location)).ownWal]).toEqual(['000000010000000000000002']);
  });

  test('WAL of another cluster', async () => {
    const location = tars();
    const stranger = segment(2);
    stranger.writeBigUInt64LE(1n, 24);
    location.put('b/pg_wal.tar', writeTar([['000000010000000000000002', stranger]]));
    const { problems, ownWal } = await read(location);
    expect(problems).toEqual([`pg_wal.tar is of the cluster 1, the backup of ${SYSTEM}`]);
    expect(ownWal.size).toBe(0);
  });

  test('without WAL nothing in the tars of 13 to 16 tells the cluster', async () => {
    const location = tars('1');
    location.remove('b/pg_wal.tar');
    expect(await read(location)).toMatchObject({ systemId: undefined, segmentSize: MB, problems: [] });
  });
});

test('a data directory with a stray base.tar in it is a data directory', async () => {
  const location = new Location();
  const content = Buffer.from(LABEL);
  const files = [
    { path: 'backup_label', size: content.length, content },
    { path: 'base.tar', size: 7 },
  ];
  location.put('b/backup_manifest', writeManifest(files, { ranges: RANGE }));
  location.put('b/backup_label', content);
  location.put('b/base.tar', 7);
  expect((await read(location)).problems).toEqual([]);
});

test.each([
  [
    'another start',
    LABEL.replace('0/200028', '0/200030'),
    'its backup_label starts at 0/200030 on timeline 1, its manifest at 0/200028 on timeline 1',
  ],
  [
    'a file that does not hold its start',
    LABEL.replace('000002)', '000005)'),
    "base.tar can't be read: it says that 0/200028 lies in the file 000000010000000000000005",
  ],
  ['something else', 'LABEL: l\n', 'base.tar can\'t be read: this is not a backup_label: "LABEL: l\\n"'],
])('a label with %s', async (_, label, problem) => {
  const location = new Location();
  const content = Buffer.from(label);
  location.put(
    'b/backup_manifest',
    writeManifest([{ path: 'backup_label', size: content.length, content }], { ranges: RANGE }),
  );
  location.put('b/base.tar', writeTar([['backup_label', content]]));
  expect((await read(location)).problems).toEqual([problem]);
});

test('an incremental backup whose label does not say so', async () => {
  const location = new Location();
  const content = Buffer.from(LABEL);
  const files = [
    { path: 'backup_label', size: content.length, content },
    { path: 'base/1/INCREMENTAL.1259', size: 12 },
  ];
  location.put('b/backup_manifest', writeManifest(files, { ranges: RANGE }));
  location.put('b/backup_label', content);
  location.put('b/base/1/INCREMENTAL.1259', 12);
  const { kind, problems } = await read(location);
  expect([kind, problems]).toEqual([
    'incremental',
    ['its files hold changes alone, and its backup_label does not say to what'],
  ]);
});
