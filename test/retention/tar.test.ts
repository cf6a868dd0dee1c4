import fc from 'fast-check';
import { expect, test } from 'vitest';

import { ByteReader } from '../../src/retention/bytes.ts';
import { TarReader, tarEntryBytes, TAR_END_BYTES, type TarEntry } from '../../src/retention/tar.ts';
import { WalFormatError } from '../../src/wal/error.ts';
import { inPieces } from './manifests.ts';
import { tarHeader, writeTar } from './tar-writer.ts';

/** All entries, with as much of their contents as `limit` allows. */
async function readAll(tar: Uint8Array, pieceSize: number, limit = Infinity): Promise<[TarEntry, string][]> {
  const reader = new TarReader(new ByteReader(inPieces(tar, pieceSize)));
  const entries: [TarEntry, string][] = [];
  for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
    entries.push([entry, (await reader.content(limit)).toString('latin1')]);
  }
  return entries;
}

const anyEntry = fc.tuple(fc.stringMatching(/^[a-z][a-z0-9/_.]{0,60}[a-z]$/), fc.uint8Array({ maxLength: 2000 }));

test('what is written is read, in pieces of any size, whatever is read of the contents', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyEntry, { maxLength: 6 }),
      fc.integer({ min: 1, max: 3000 }),
      fc.nat(2500),
      async (entries, pieceSize, limit) => {
        const tar = writeTar(entries);
        expect(await readAll(tar, pieceSize, limit)).toEqual(
          entries.map(([name, content]) => [
            { name, kind: 'file', size: content.length },
            Buffer.from(content.subarray(0, limit)).toString('latin1'),
          ]),
        );
        const bytes = entries.map(([, content]) => tarEntryBytes(content.length));
        expect(tar.length).toBe(bytes.reduce((a, b) => a + b, TAR_END_BYTES));
      },
    ),
  );
});

test('cut before its end, it is refused, whether contents are read or passed over', async () => {
  const tar = writeTar([['a', Buffer.alloc(700, 'x')], ['dir/'], ['b', Buffer.alloc(512)]]);
  for (let length = 0; length < tar.length - TAR_END_BYTES + 1; length += 37) {
    for (const limit of [0, 600, Infinity]) {
      await expect(readAll(tar.subarray(0, length), 100, limit)).rejects.toThrow(/^the tar is cut/);
    }
  }
});

test('directories and links have no content; sizes go beyond 8 GB', async () => {
  const size = 2 ** 40 + 12345;
  const reader = new TarReader(
    new ByteReader(inPieces(Buffer.concat([tarHeader('pg_wal/', 512), tarHeader('big', size)]), 512)),
  );
  expect(await reader.next()).toEqual({ name: 'pg_wal', kind: 'directory', size: 0 });
  expect(await reader.next()).toEqual({ name: 'big', kind: 'file', size });
});

test('a header with any byte changed is refused', async () => {
  const tar = writeTar([['backup_label', Buffer.from('START')]]);
  for (let at = 0; at < 512; at += 1) {
    const changed = Buffer.from(tar);
    changed[at] = (changed[at] ?? 0) ^ 0x01;
    // Behind its number the field of the checksum says nothing.
    if (at === 154 || at === 155) continue;
    await expect(readAll(changed, 512)).rejects.toThrow(WalFormatError);
  }
});
