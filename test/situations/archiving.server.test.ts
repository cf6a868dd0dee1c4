import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';

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
import { situation } from '../harness/situations.ts';
import type { Version } from '../harness/server-user.ts';

const NAME = /([0-9A-F]{24})$/;

describe('Archiving', () => {
  for (const sizeMb of [1, 16, 64])
    situation(
      `under load, segments of ${sizeMb} MB come into two archives, and the database comes back from each`,
      (version) => archiveUnderLoad(version, sizeMb),
    );

  situation('nothing in an archive shows what is in the database, and only the identity opens it', keepSecret);
  situation('encryption and compression change: old and new objects lie side by side, and all are fetched', change);
});

async function archiveUnderLoad(version: Version, walSegmentSizeMb: number): Promise<void> {
  const site = makeSite(2);
  const host = await Host.make(site);
  await using server = await startPostgres({
    version,
    walSegmentSizeMb,
    settings: { ...host.archiving, min_wal_size: 2 * walSegmentSizeMb, max_wal_size: 8 * walSegmentSizeMb },
    env: host.env,
  });
  await createLedger(server);
  const first = await switchSegment(server);
  const load = runLoad(server, walSegmentSizeMb);
  const backup = await takeBackup(server);
  await load;
  const before = await summary(server);
  const last = await switchSegment(server);
  await untilAllArchived(server);

  const expected = between(first, last, walSegmentSizeMb);
  expect(expected.length).toBeGreaterThan(3);
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
}

/** Several sessions that write at once: rows, and as much beside them as fills two segments and a half. */
async function runLoad(server: PostgresServer, segmentSizeMb: number): Promise<void> {
  const [sessions, rounds] = [3, 5];
  const kilobytes = Math.ceil((2.5 * segmentSizeMb * 1024) / sessions / rounds);
  const session = async (): Promise<void> => {
    for (let round = 0; round < rounds; round += 1) {
      await addRows(server, 500);
      await server.query("SELECT pg_logical_emit_message(true, 'load', repeat(md5(random()::text), $1))", [
        kilobytes * 32,
      ]);
    }
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

async function keepSecret(version: Version): Promise<void> {
  const site = makeSite();
  const host = await Host.make(site, {
    encryption: { recipients: [site.recipient] },
  });
  await using server = await startPostgres({
    version,
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
  await expectFetched(await Host.make(site), server, segment);
}

async function change(version: Version): Promise<void> {
  const site = makeSite();
  const host = await Host.make(site);
  const { archiving, env } = host;
  await using server = await startPostgres({ version, walSegmentSizeMb: 1, settings: archiving, env });
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
  for (const segment of [sealed, plain]) await expectFetched(await Host.make(site), server, segment);
}

async function expectFetched(reader: Host, server: PostgresServer, segment: string): Promise<void> {
  expect((await reader.run('wal-fetch', [segment, 'fetched'], server.dataDirectory)).status).toBe(0);
  const original = readFileSync(join(server.dataDirectory, 'pg_wal', segment));
  expect(readFileSync(join(server.dataDirectory, 'fetched')).equals(original)).toBe(true);
}
