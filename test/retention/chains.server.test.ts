/** The catalogue of incremental backups, and of real ones that something happened to. */
import { readdirSync, readlinkSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { needPgClients, pgBasebackup, pgCombinebackup } from '../harness/pg-clients.ts';
import { makeScratch } from '../harness/scratch.ts';
import { serverUser } from '../harness/server-user.ts';
import { known } from '../wal/arbitraries.ts';
import { named, problems, readDirectory, startWithTablespaces } from './taken.ts';

describe.skipIf(needPgClients()).each([17, 18] as const)('incremental backups of the server %s', (version) => {
  test('a chain, each with the start of the one before it, and what it is combined to', async () => {
    const location = makeScratch('backups', serverUser());
    const { server, mappings } = await startWithTablespaces(version);
    await using _ = server;
    const chain = ['full', 'monday', 'tuesday'];
    const manifest = (name: string): string => join(location, name, 'backup_manifest');
    await pgBasebackup(server, join(location, 'full'), mappings('full'));
    for (const [index, name] of chain.entries()) {
      if (index === 0) continue;
      await server.query('INSERT INTO there SELECT generate_series(1, 20000)');
      const incremental = ['--incremental', manifest(known(chain[index - 1]))];
      await pgBasebackup(server, join(location, name), [...incremental, ...mappings(name)]);
      await pgBasebackup(server, join(location, `${name}-tar`), ['-Ft', '-z', ...incremental]);
    }
    const last = join(location, 'tuesday');
    const links = readdirSync(join(last, 'pg_tblspc')).map((link) => readlinkSync(join(last, 'pg_tblspc', link)));
    await pgCombinebackup(version, [
      ...links.map((link) => `--tablespace-mapping=${link}=${link}-combined`),
      ...['--output', join(location, 'combined')],
      ...chain.map((name) => join(location, name)),
    ]);
    const catalogue = await readDirectory(location);
    expect([...problems(catalogue), ...catalogue.others]).toEqual([]);
    for (const [index, name] of chain.entries()) {
      const parent = chain[index - 1];
      for (const backup of [name, ...(index === 0 ? [] : [`${name}-tar`])].map((each) => named(catalogue, each))) {
        expect(backup.kind).toBe(index === 0 ? 'full' : 'incremental');
        expect(backup.incrementalFrom).toEqual(parent && named(catalogue, parent).start);
      }
    }
    const { start, stop, kind, incrementalFrom } = named(catalogue, 'combined');
    const tuesday = named(catalogue, 'tuesday');
    expect({ start, stop, kind, incrementalFrom }).toEqual({
      start: tuesday.start,
      stop: tuesday.stop,
      kind: 'full',
      incrementalFrom: undefined,
    });
  });
});

describe.skipIf(needPgClients())('what went wrong with real backups', () => {
  test.each([13, 18] as const)('is named, of the server %s', async (version) => {
    const location = makeScratch('backups', serverUser());
    const { server, mappings } = await startWithTablespaces(version);
    await using _ = server;
    const names = {
      plain: mappings('plain'),
      tar: ['-Ft'],
      gzip: ['-Ft', '-z'],
      zstd: ['-Ft', '--compress=client-zstd'],
      unfinished: ['-Ft', '--no-manifest'],
    };
    for (const [name, args] of Object.entries(names)) await pgBasebackup(server, join(location, name), args);
    expect((await readDirectory(location)).others.map(({ path, kind }) => [path, kind])).toEqual([
      [`file://${location}/unfinished`, 'unfinished'],
    ]);
    rmSync(join(location, 'plain/global/pg_filenode.map'));
    truncateSync(join(location, 'plain/base/1/1259'), 8192);
    // The last file, pg_control, and the end.
    truncateSync(join(location, 'tar/base.tar'), statSync(join(location, 'tar/base.tar')).size - 9728);
    const [tablespace = ''] = readdirSync(join(location, 'gzip'))
      .filter((name) => /^\d/.test(name))
      .sort()
      .reverse();
    rmSync(join(location, 'gzip', tablespace));
    truncateSync(join(location, 'zstd/base.tar.zst'), 100);
    const catalogue = await readDirectory(location);
    expect(named(catalogue, 'plain').problems).toEqual([
      'a file of its manifest is missing: global/pg_filenode.map',
      expect.stringMatching(
        /^a file of its manifest is of another size: base\/1\/1259, which has 8192 bytes instead of \d+$/,
      ),
    ]);
    expect(named(catalogue, 'tar').problems).toEqual([expect.stringMatching(/^base.tar is cut: it has \d+ bytes, /)]);
    expect(named(catalogue, 'gzip').problems).toEqual([
      `${tablespace.replace(/\..*/, '')}.tar is missing, in whatever packing`,
    ]);
    expect(named(catalogue, 'zstd').problems).toEqual([expect.stringMatching(/^base.tar.zst can't be read: /)]);
  });
});
