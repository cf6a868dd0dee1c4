/** The catalogue of what pg_basebackup really writes, of every version of the server. */
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { needPgClients, pgBasebackup, type Taken } from '../harness/pg-clients.ts';
import { startFrom, startPostgres } from '../harness/postgres.ts';
import { makeScratch } from '../harness/scratch.ts';
import { serverUser, VERSIONS } from '../harness/server-user.ts';
import {
  bringsItsWal,
  DEFAULT_LABEL,
  MB,
  named,
  positions,
  problems,
  readDirectory,
  SINCE,
  startWithTablespaces,
  systemIdOf,
} from './taken.ts';

const TARS = {
  'tar-stream': ['-Ft', '-X', 'stream', '-l', 'a label'],
  'tar-none': ['-Ft', '-X', 'none'],
  'tar-fetch': ['-Ft', '-X', 'fetch'],
  'tar-gzip': ['-Ft', '-X', 'stream', '--compress=client-gzip'],
  'tar-zstd': ['-Ft', '-X', 'stream', '--compress=client-zstd', '--manifest-checksums=SHA512'],
  'tar-lz4': ['-Ft', '-X', 'stream', '--compress=client-lz4', '--manifest-checksums=NONE'],
};
/** The only way that our servers are built with. */
const COMPRESSED_BY_SERVER = { 'server-gzip': ['-Ft', '-X', 'fetch', '--compress=server-gzip'] };
const PLAIN = {
  'plain-stream': ['-X', 'stream', '-R', '-l', 'zwei\nZeilen'],
  'plain-none': ['-X', 'none', '--manifest-checksums=SHA256'],
  'plain-fetch': ['-X', 'fetch', '--manifest-force-encode'],
};

describe.skipIf(needPgClients()).each(VERSIONS)('backups of the server %s', (version) => {
  test('tars, in every packing and with every way to bring WAL', async () => {
    const location = makeScratch('backups', serverUser());
    const { server } = await startWithTablespaces(version);
    await using _ = server;
    const taken = new Map<string, Taken | undefined>();
    for (const [name, args] of Object.entries({
      ...TARS,
      ...(version >= SINCE.serverCompression && COMPRESSED_BY_SERVER),
    })) {
      await server.query('INSERT INTO there SELECT generate_series(1, 20000)');
      taken.set(name, await pgBasebackup(server, join(location, name), args));
    }
    const catalogue = await readDirectory(location);
    expect(catalogue.others).toEqual([]);
    expect(problems(catalogue)).toEqual([]);
    const systemId = await systemIdOf(server);
    for (const [name, said] of taken) {
      const backup = named(catalogue, name);
      expect(positions(backup)).toEqual(said ?? positions(backup));
      expect(backup).toMatchObject({ kind: 'full', segmentSize: MB, incrementalFrom: undefined });
      expect(backup.label).toBe(name === 'tar-stream' ? 'a label' : DEFAULT_LABEL);
      // Before 17 only a segment tells the cluster, where the backup has some in a tar of their own.
      const hasWalTar = ['tar-stream', 'tar-gzip', 'tar-zstd', 'tar-lz4'].includes(name);
      expect(backup.systemId).toBe(version >= SINCE.incremental || hasWalTar ? systemId : undefined);
      expect(bringsItsWal(backup)).toBe(hasWalTar);
    }
    expect(catalogue.backups).toHaveLength(taken.size);
  });

  test('data directories, with their tablespaces elsewhere', async () => {
    const location = makeScratch('backups', serverUser());
    const { server, mappings } = await startWithTablespaces(version);
    await using _ = server;
    const taken = new Map<string, Taken | undefined>();
    for (const [name, args] of Object.entries(PLAIN)) {
      taken.set(name, await pgBasebackup(server, join(location, 'daily', name), [...args, ...mappings(name)]));
    }
    const catalogue = await readDirectory(location);
    expect(catalogue.others).toEqual([]);
    expect(problems(catalogue)).toEqual([]);
    for (const [name, said] of taken) {
      const backup = named(catalogue, `daily/${name}`);
      expect(positions(backup)).toEqual(said ?? positions(backup));
      expect(backup).toMatchObject({ kind: 'full', segmentSize: MB, systemId: await systemIdOf(server) });
      expect(backup.label).toBe(name === 'plain-stream' ? 'zwei\nZeilen' : DEFAULT_LABEL);
      expect(bringsItsWal(backup)).toBe(name !== 'plain-none');
      expect(backup.stoppedAt.getTime() - backup.startedAt.getTime()).toBeLessThan(60_000);
    }
  });

  test('backups of a standby', async () => {
    const location = makeScratch('backups', serverUser());
    await using primary = await startPostgres({ version });
    const base = join(makeScratch('standby', serverUser()), 'data');
    await pgBasebackup(primary, base, ['-R']);
    await using standby = await startFrom(base);
    await primary.query('CREATE TABLE later AS SELECT generate_series(1, 1000)');
    const plain = await pgBasebackup(standby, join(location, 'plain'));
    const tar = await pgBasebackup(standby, join(location, 'tar'), ['-Ft', '-z']);
    const catalogue = await readDirectory(location);
    expect([...problems(catalogue), ...catalogue.others]).toEqual([]);
    expect(positions(named(catalogue, 'plain'))).toEqual(plain);
    expect(positions(named(catalogue, 'tar'))).toEqual(tar);
    expect(catalogue.backups.map(bringsItsWal)).toEqual([true, true]);
  });
});
