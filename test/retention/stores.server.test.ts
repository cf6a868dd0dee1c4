/** The catalogue is the same on every store. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { readCatalogue, type Catalogue } from '../../src/retention/catalogue.ts';
import { connect } from '../../src/storage/connect.ts';
import { Deadline } from '../../src/storage/deadline.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { needStore } from '../harness/need.ts';
import { needPgClients, pgBasebackup } from '../harness/pg-clients.ts';
import { startPostgres } from '../harness/postgres.ts';
import { makeScratch } from '../harness/scratch.ts';
import { serverUser } from '../harness/server-user.ts';
import { CLOUDS, makeCloudArchive, type Cloud } from '../harness/stores/archives.ts';
import { bodyOf } from '../storage/bodies.ts';
import { readDirectory } from './taken.ts';

const SCHEMES: readonly Cloud[] = ['s3', 'gs', 'azure'];

async function open(cloud: Cloud): Promise<Storage> {
  const { url, table, env } = await makeCloudArchive(cloud);
  Object.assign(process.env, env);
  const { endpoint, region } = table;
  return connect({
    url,
    scheme: cloud,
    forcePathStyle: true,
    ...(typeof endpoint === 'string' && { endpoint }),
    ...(typeof region === 'string' && { region }),
  });
}

async function upload(storage: Storage, directory: string, deadline: Deadline): Promise<void> {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const rest = entries.values();
  const lane = async (): Promise<void> => {
    for (const { parentPath, name } of rest) {
      const path = join(parentPath, name);
      await storage.create(path.slice(directory.length + 1), bodyOf(readFileSync(path)), deadline);
    }
  };
  await Promise.all([lane(), lane(), lane(), lane()]);
}

/** All but what differs from store to store: where it is, and when it came there. */
function essence({ backups, others }: Catalogue, location: string): unknown {
  return {
    backups: backups.map(({ stoppedAt: _, ...backup }) => ({ ...backup, path: backup.path.slice(location.length) })),
    others: others.map((other) => ({ ...other, path: other.path.slice(location.length) })),
  };
}

describe.each(SCHEMES)('%s://', (cloud) => {
  test.skipIf(needPgClients() || needStore(CLOUDS[cloud]))('what a directory holds, copied', async () => {
    const location = makeScratch('backups', serverUser());
    await using server = await startPostgres({ version: 18, walSegmentSizeMb: 1 });
    const full = await pgBasebackup(server, join(location, 'plain'));
    await pgBasebackup(server, join(location, 'tars/plain'), ['-Ft']);
    await pgBasebackup(server, join(location, 'tars/gzip'), ['-Ft', '-z']);
    await pgBasebackup(server, join(location, 'tars/unfinished'), ['-Ft', '-z', '--no-manifest']);
    const storage = await open(cloud);
    const deadline = new Deadline(110_000);
    await upload(storage, location, deadline);
    const there = await readCatalogue(storage, deadline);
    const here = await readDirectory(location);
    expect(full).toBeDefined();
    expect(there.backups.map(({ problems }) => problems)).toEqual([[], [], []]);
    expect(essence(there, storage.url)).toEqual(essence(here, `file://${location}`));
    storage.close();
  });
});
