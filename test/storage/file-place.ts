import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { ArchiveSettings } from '../../src/settings/schema.ts';
import { connect } from '../../src/storage/connect.ts';
import type { Storage } from '../../src/storage/storage.ts';
import type { Capability, Place } from './contract/place.ts';

/** The settings of an archive in a directory. */
export function fileArchive(path: string, mounted = false): ArchiveSettings {
  return { url: pathToFileURL(path).href, scheme: 'file', required: true, mode: 'push', mounted };
}

/** How a storage is reached: on Node, or in the executable. */
export type Connect = (archive: ArchiveSettings) => Promise<Storage>;

/** A file system tells no digest; whom it denies is tested with users of their own, in file-processes.server.test.ts. */
export const FILE_LACKS: readonly Capability[] = ['digest', 'denied'];

export interface FilePlace extends Place {
  readonly path: string;
  readonly archive: ArchiveSettings;
}

/** An archive in a new directory. Its name has all that a URL must encode. */
export async function makeFilePlace(connectTo: Connect = connect): Promise<FilePlace> {
  const base = await mkdtemp(join(tmpdir(), 'walseal-storage-'));
  const path = join(base, "arch ive%#?[é]&+~'");
  await mkdir(path);
  return {
    path,
    archive: fileArchive(path),
    storage: await connectTo(fileArchive(path)),
    another: () => connectTo(fileArchive(path)),
    missing: async () => ({ storage: await connectTo(fileArchive(join(base, 'nowhere'))), kind: 'unreachable' }),
    fill: async (keys) => {
      for (const directory of new Set(keys.map((key) => dirname(join(path, key)))))
        await mkdir(directory, { recursive: true });
      await Promise.all(keys.map((key) => writeFile(join(path, key), 'x')));
    },
    leftovers: () => readdir(join(path, 'tmp')).catch(() => []),
    atPrefix: async (prefix) => {
      await mkdir(join(path, prefix), { recursive: true });
      return connectTo(fileArchive(join(path, prefix)));
    },
    remove: () => rm(base, { recursive: true, force: true }),
  };
}
