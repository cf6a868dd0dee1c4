/** Where an archive and its base backups lie, and how both are seen past walseal. */
import { mkdirSync, readdirSync, readFileSync, utimesSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { makeSite, objectKeys, type HostOptions, type Site } from '../harness/archiving.ts';
import { makeScratch } from '../harness/scratch.ts';
import { serverUser, writeAsServer } from '../harness/server-user.ts';
import { makeCloudArchive, type Cloud } from '../harness/stores/archives.ts';

export interface Place {
  readonly site: Site;
  /** What settings say of it. */
  readonly options: HostOptions;
  /** What backups are taken as: `-Fp` into a directory that walseal sees, `-Ft` to be brought there. */
  readonly format: 'plain' | 'tar';
  /** What the path of each backup begins with. */
  readonly location: string;
  /** Where pg_basebackup writes. */
  readonly workshop: string;
  /** Brings what it has written to where walseal looks. */
  deliver(backup: string): Promise<void>;
  /** Of all objects of the archive, sorted. */
  keys(): Promise<string[]>;
  put(key: string, content: string): Promise<void>;
  /** Makes an object that old, where a store lets itself be told such. */
  readonly age?: (key: string, seconds: number) => void;
}

/** An archive in a directory; data directories in another. */
export function directoryPlace(): Place {
  const site = makeSite();
  const [archive] = site.archives;
  const workshop = makeScratch('backups', serverUser());
  const location = `file://${workshop}`;
  return {
    site,
    options: { backups: [{ url: location }] },
    format: 'plain',
    location,
    workshop,
    deliver: () => Promise.resolve(),
    keys: () => Promise.resolve(objectKeys(archive)),
    put: (key, content) => {
      mkdirSync(dirname(join(archive, key)), { recursive: true });
      writeAsServer(join(archive, key), content);
      return Promise.resolve();
    },
    age: (key, seconds) => {
      const then = Date.now() / 1000 - seconds;
      utimesSync(join(archive, key), then, then);
    },
  };
}

/** An archive in a bucket, and tars under another prefix of it. */
export async function bucketPlace(cloud: Cloud): Promise<Place> {
  const { table, env, bucket, prefix, eye } = await makeCloudArchive(cloud);
  const { conditional_create: _, ...access } = table;
  const workshop = makeScratch('backups', serverUser());
  const location = `${cloud}://${bucket}/backups`;
  return {
    site: makeSite(),
    options: { archives: [table], env, backups: [{ ...access, url: location }] },
    format: 'tar',
    location,
    workshop,
    deliver: async (backup) => {
      for (const file of readdirSync(join(workshop, backup))) {
        await eye.put(bucket, `backups/${backup}/${file}`, readFileSync(join(workshop, backup, file)));
      }
    },
    keys: async () => (await eye.keys(bucket, prefix)).map((key) => key.slice(prefix.length)),
    put: (key, content) => eye.put(bucket, `${prefix}${key}`, Buffer.from(content)),
  };
}
