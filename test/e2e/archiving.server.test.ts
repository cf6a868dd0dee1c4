import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { contents, Host, makeSite, objectKeys, objectPath } from '../harness/archiving.ts';
import {
  addRows,
  archiverStatistics,
  createLedger,
  fillSegments,
  startCopy,
  summary,
  switchSegment,
  takeBackup,
  untilAllArchived,
  untilOpen,
} from '../harness/ledger.ts';
import { startPostgres, type PostgresServer } from '../harness/postgres.ts';

const NAME = /([0-9A-F]{24})$/;

test.each([1, 16])(
  'under load, every segment of %i MB comes into both archives, and the database comes back from each',
  async (walSegmentSizeMb) => {
    const site = makeSite(2);
    const host = await Host.make(site);
    await using server = await startPostgres({
      version: 18,
      walSegmentSizeMb,
      settings: { ...host.archiving, min_wal_size: 2 * walSegmentSizeMb, max_wal_size: 8 * walSegmentSizeMb },
      env: host.env,
    });
    await createLedger(server);
    const first = await switchSegment(server);
    const load = runLoad(server, 3, 12, walSegmentSizeMb === 1 ? 2_000 : 14_000);
    const backup = await takeBackup(server);
    await load;
    const before = await summary(server);
    const last = await switchSegment(server);
    await untilAllArchived(server);

    const expected = between(first, last, walSegmentSizeMb);
    expect(expected.length).toBeGreaterThan(walSegmentSizeMb === 1 ? 8 : 3);
    for (const archive of site.archives) {
      const names = objectKeys(archive).flatMap((key) => NAME.exec(key)?.[1] ?? []);
      expect(names.filter((name) => name >= first)).toEqual(expected);
    }
    expect((await archiverStatistics(server)).failed).toBe(0);
    await server.stop('immediate');

    for (const url of site.archives) {
      const reader = await Host.make(site, { archives: [{ url }] });
      const settings = { restore_command: reader.restoreCommand, min_wal_size: 2 * walSegmentSizeMb };
      await using copy = await startCopy(backup, { signal: 'recovery', settings, env: reader.env });
      await untilOpen(copy);
      expect(await summary(copy)).toEqual(before);
    }
  },
);

test('nothing in an archive shows what is in the database, and only the identity opens it', async () => {
  const site = makeSite();
  const host = await Host.make(site, {
    encryption: { recipients: [site.recipient] },
  });
  await using server = await startPostgres({
    version: 18,
    walSegmentSizeMb: 1,
    settings: { ...host.archiving, wal_compression: false },
    env: host.env,
  });
  await createLedger(server);
  const marker = 'the quick brown fox keeps a secret';
  await server.query('INSERT INTO ledger (entry) SELECT $1 FROM generate_series(1, 100)', [marker]);
  const segment = await switchSegment(server);
  await untilAllArchived(server);
  expect(readFileSync(join(server.dataDirectory, 'pg_wal', segment)).includes(marker)).toBe(true);

  for (const [key, bytes] of Object.entries(contents(site.archives[0]))) {
    expect(Buffer.from(bytes, 'base64').includes(marker), key).toBe(false);
  }
  const object = readFileSync(objectPath(site.archives[0], segment) ?? '');
  expect(object.subarray(0, 21).toString()).toBe('age-encryption.org/v1');

  const pushing = await host.run('wal-fetch', [segment, 'fetched'], server.dataDirectory);
  expect(pushing).toMatchObject({ status: 205, stdout: '' });
  expect(() => readFileSync(join(server.dataDirectory, 'fetched'))).toThrow('ENOENT');
  const owner = await Host.make(site);
  expect(await owner.run('wal-fetch', [segment, 'fetched'], server.dataDirectory)).toMatchObject({ status: 0 });
  const fetched = readFileSync(join(server.dataDirectory, 'fetched'));
  expect(fetched.equals(readFileSync(join(server.dataDirectory, 'pg_wal', segment)))).toBe(true);
});

test('a change of encryption and compression opens no name that is taken, and old and new objects lie side by side', async () => {
  const site = makeSite();
  const host = await Host.make(site);
  await using server = await startPostgres({
    version: 18,
    walSegmentSizeMb: 1,
    settings: host.archiving,
    env: host.env,
  });
  await createLedger(server);
  const [sealed = ''] = await fillSegments(server, 1);
  await untilAllArchived(server);
  const before = contents(site.archives[0]);

  host.configure({ encryption: 'none', compression: { level: 9 } });
  expect((await host.run('wal-push', [`pg_wal/${sealed}`], server.dataDirectory)).status).toBe(0);
  expect(contents(site.archives[0])).toEqual(before);
  const [plain = ''] = await fillSegments(server, 1);
  await untilAllArchived(server);
  expect(contents(site.archives[0])).toMatchObject(before);

  const reader = await Host.make(site);
  for (const segment of [sealed, plain]) {
    expect((await reader.run('wal-fetch', [segment, 'fetched'], server.dataDirectory)).status).toBe(0);
    const original = readFileSync(join(server.dataDirectory, 'pg_wal', segment));
    expect(readFileSync(join(server.dataDirectory, 'fetched')).equals(original)).toBe(true);
  }
});

/** Several sessions that write at once. */
async function runLoad(server: PostgresServer, sessions: number, rounds: number, rows: number): Promise<void> {
  const session = async (): Promise<void> => {
    for (let round = 0; round < rounds; round += 1) await addRows(server, rows);
  };
  await Promise.all(Array.from({ length: sessions }, session));
}

/** The names of all segments from one to another, of one timeline and one log. */
function between(first: string, last: string, sizeMb: number): string[] {
  const perLog = 4096 / sizeMb;
  const number = (name: string): number => parseInt(name.slice(8, 16), 16) * perLog + parseInt(name.slice(16), 16);
  const hex = (value: number): string => value.toString(16).toUpperCase().padStart(8, '0');
  return Array.from({ length: number(last) - number(first) + 1 }, (_, i) => {
    const segment = number(first) + i;
    return first.slice(0, 8) + hex(Math.floor(segment / perLog)) + hex(segment % perLog);
  });
}
