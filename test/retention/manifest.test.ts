import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { WalFormatError } from '../../src/wal/error.ts';
import { formatLsn } from '../../src/wal/lsn.ts';
import { parseBackupLabel } from '../../src/wal/backup.ts';
import { parseControlFile } from '../../src/wal/control.ts';
import { differenceFrom } from '../../src/retention/described.ts';
import { anySystem } from '../wal/arbitraries.ts';
import { BACKUPS, fixture, inPieces, parse, withChecksum, writeManifest } from './manifests.ts';

const SMALL = writeManifest([
  { path: 'base/1/1', size: 8192 },
  { path: 'a "quoted" ü\\path', size: 0, content: Buffer.alloc(0) },
]);

describe.each(BACKUPS)('what a real server wrote: %s', (backup) => {
  const bytes = fixture(backup, 'backup_manifest');
  const listing = fixture(backup, 'listing').toString().trimEnd().split('\n');

  test('it names every file of the backup with its size, but for WAL and itself', async () => {
    const { files } = await parse(bytes);
    const named = [...files].map(([path, size]) => `${size} ${path}`);
    const there = listing.filter((line) => !/ (pg_wal\/.*|backup_manifest)$/.test(line));
    expect(named.sort()).toEqual(there.sort());
  });

  test('it agrees with backup_label and pg_control', async () => {
    const { version, systemId, ranges, described } = await parse(bytes);
    const label = parseBackupLabel(fixture(backup, 'backup_label').toString());
    const control = parseControlFile(fixture(backup, 'global/pg_control'));
    const isOld = Number.parseInt(backup, 10) < 17;
    expect({ version, systemId }).toEqual({ version: isOld ? 1 : 2, systemId: isOld ? undefined : control.systemId });
    expect(ranges.map(({ timeline, start }) => [timeline, start])).toEqual([[label.startTimeline, label.start]]);
    for (const file of ['backup_label', 'global/pg_control']) {
      expect(differenceFrom(described.get(file), fixture(backup, file))).toBeUndefined();
      const other = Buffer.from(fixture(backup, file));
      other[5] = (other[5] ?? 0) ^ 1;
      expect(differenceFrom(described.get(file), other)).toMatch(/^it has the CRC32C checksum/);
    }
  });
});

test('it is the same in pieces of any size', async () => {
  const whole = await parse(SMALL, SMALL.length);
  for (let size = 1; size < 200; size += 1) expect(await parse(SMALL, size)).toEqual(whole);
  expect([...whole.files]).toEqual([
    ['base/1/1', 8192],
    ['a "quoted" ü\\path', 0],
  ]);
});

test('cut anywhere, it is refused', async () => {
  for (let length = 0; length < SMALL.length; length += 1) {
    await expect(parse(SMALL.subarray(0, length))).rejects.toThrow(WalFormatError);
  }
});

test('with any byte changed, it is refused', async () => {
  await fc.assert(
    fc.asyncProperty(fc.nat(SMALL.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
      const changed = Buffer.from(SMALL);
      changed[at] = (changed[at] ?? 0) ^ change;
      // The checksum itself may be written in either case.
      fc.pre(changed.toString('latin1').toLowerCase() !== SMALL.toString('latin1').toLowerCase());
      await expect(parse(changed)).rejects.toThrow(WalFormatError);
    }),
    { numRuns: 300 },
  );
});

test('a system identifier keeps all of its 64 bits', async () => {
  await fc.assert(
    fc.asyncProperty(anySystem, async (id) => {
      const manifest = writeManifest([{ path: 'f', size: 1 }], { head: `"System-Identifier": ${id},\n` });
      expect((await parse(manifest)).systemId).toBe(id);
    }),
  );
});

const ODD = ['a', 'B', '/', '.', '"', '\\', '{', '}', '[', ']', ',', ':', ' ', '\n', '\0', '\u2028', 'ü', '€', '😀'];
const anyPath = fc.array(fc.constantFrom(...ODD), { minLength: 1 }).map((parts) => parts.join(''));

test('any path comes back, written as text or in hex; one that is no UTF-8 as its bytes', async () => {
  const file = (path: string): string => `{ ${path}, "Size": 1, "Last-Modified": "2026-11-26 10:05:48 GMT" }`;
  const manifestOf = (line: string): Buffer => {
    const [before = '', after = ''] =
      writeManifest([]).toString().split('"Manifest-Checksum"')[0]?.split('[\n\n]') ?? [];
    return withChecksum(`${before}[\n${line}\n]${after}`);
  };
  await fc.assert(
    fc.asyncProperty(anyPath, fc.nat(50), async (path, piece) => {
      const hex = Buffer.from(path).toString('hex');
      const plain = await parse(manifestOf(file(`"Path": ${JSON.stringify(path)}`)), piece + 1);
      const encoded = await parse(manifestOf(file(`"Encoded-Path": "${hex}"`)), piece + 1);
      expect([[...plain.files.keys()], [...encoded.files.keys()]]).toEqual([[path], [path]]);
    }),
    { numRuns: 40 },
  );
  const { files } = await parse(manifestOf(file('"Encoded-Path": "62FFfe"')));
  expect([...files.keys()]).toEqual(['\\x62fffe']);
});

test('ranges of several timelines are put in order, the oldest first', async () => {
  const range = (timeline: number, start: string, end: string): string =>
    `{ "Timeline": ${timeline}, "Start-LSN": "${start}", "End-LSN": "${end}" }`;
  const ranges = [
    range(7, '0/3000000', '1/20'),
    range(3, '0/2800000', '0/3000000'),
    range(1, '0/2000028', '0/2800000'),
  ];
  const manifest = await parse(writeManifest([{ path: 'f', size: 1 }], { ranges: ranges.join(',\n') }));
  expect(manifest.ranges.map((each) => `${each.timeline} ${formatLsn(each.start)} ${formatLsn(each.end)}`)).toEqual([
    '1 0/2000028 0/2800000',
    '3 0/2800000 0/3000000',
    '7 0/3000000 1/20',
  ]);
  const [newest = '', , oldest = ''] = ranges;
  const gap = writeManifest([{ path: 'f', size: 1 }], { ranges: `${newest},${oldest}` });
  await expect(parse(gap)).rejects.toThrow('its WAL of timeline 1 ends at 0/2800000, and that of timeline 7 starts at');
});

const FILE = { path: 'f', size: 1 };
const TEXT = writeManifest([FILE]).toString().split('"Manifest-Checksum"')[0] ?? '';

test.each([
  ['of a later version', writeManifest([FILE], { version: '3' }), 'its version is 3: only 1 and 2 are known'],
  ['of no version', withChecksum(TEXT.replace(/"Postgre[^,]*,/, '')), 'it does not begin with PostgreSQL-Backup-'],
  ['without an identifier', writeManifest([FILE], { head: '' }), 'it has no System-Identifier'],
  ['with the identifier 0', writeManifest([FILE], { head: '"System-Identifier": 0,' }), 'which is none'],
  ['with an unknown field', writeManifest([FILE], { head: '"New": [1],' }), 'a field that is not known: "New"'],
  [
    'with a field twice',
    withChecksum(TEXT.replace('"Files"', '"WAL-Ranges": [],"Files"')),
    'WAL-Ranges more than once',
  ],
  ['without files', writeManifest([]), 'it names no file'],
  ['without WAL', writeManifest([FILE], { ranges: '' }), 'it names no WAL'],
  ['with a file twice', writeManifest([FILE, FILE]), 'it has the file f more than once'],
  ['with a size that is none', writeManifest([{ ...FILE, size: -1 }]), 'its file f has no size'],
  ['with a timeline 0', withChecksum(TEXT.replace('"Timeline": 1', '"Timeline": 0')), "the timeline 0, which can't"],
  ['with an end before its start', withChecksum(TEXT.replace('0/2000120', '0/2000028')), 'its WAL ends at 0/2000028'],
  ['with bytes that are no UTF-8', Buffer.from(TEXT.replace('"f"', '"\xff"'), 'latin1'), 'it is not UTF-8'],
  ['with something behind it', Buffer.concat([SMALL, Buffer.from('{}\n')]), 'something follows its end'],
  ['with a text without end', Buffer.from(`{"PostgreSQL${' '.repeat(50_000)}`), 'this is no JSON'],
  ['that is empty', Buffer.alloc(0), 'it is cut'],
  ['that is no JSON', Buffer.from('START WAL LOCATION'), 'where { is expected'],
])('a manifest %s is refused, with the reason', async (_, bytes, reason) => {
  await expect(parse(bytes)).rejects.toThrow(reason);
  await expect(parse(bytes)).rejects.toThrow(WalFormatError);
});

test('what the source throws passes as it is', async () => {
  const broken = async function* (): AsyncGenerator<Uint8Array> {
    yield* inPieces(SMALL.subarray(0, 100), 10);
    throw new RangeError('a cable was pulled');
  };
  const { readManifest } = await import('../../src/retention/read-manifest.ts');
  await expect(readManifest(broken())).rejects.toThrow(RangeError);
});
