import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { Host, makeSite } from '../harness/archiving.ts';
import { Removable } from '../harness/interference.ts';
import {
  addRows,
  createLedger,
  fillSegments,
  startCopy,
  summary,
  takeBackup,
  untilAllArchived,
  untilOpen,
} from '../harness/ledger.ts';
import { startPostgres } from '../harness/postgres.ts';
import { runAsServer, type Ran } from '../harness/server-user.ts';
import { waitFor } from '../harness/wait.ts';

/** Debian's; it reads the data directories of its own major version only. */
const VERSION = 15;
const REWIND = `/usr/lib/postgresql/${VERSION}/bin/pg_rewind`;
const isThere = existsSync(REWIND);
if (!isThere && process.env['CI'] === 'true') throw new Error(`the tests need ${REWIND}`);

test.runIf(isThere)(
  'pg_rewind -c takes from the archive what the old primary has not any more, and fails in an outage',
  async () => {
    const site = makeSite();
    const host = await Host.make(site);
    const settings = { ...host.archiving, restore_command: host.restoreCommand, wal_retrieve_retry_interval: '200ms' };
    const initdbArgs = ['--data-checksums'];
    await using old = await startPostgres({
      version: VERSION,
      walSegmentSizeMb: 1,
      initdbArgs,
      settings,
      env: host.env,
    });
    await createLedger(old);
    const backup = await takeBackup(old);
    const conninfo = (port: number, socket: string): string =>
      `host=${socket} port=${port} user=postgres dbname=postgres`;
    await using heir = await startCopy(backup, {
      signal: 'standby',
      settings: { ...settings, primary_conninfo: conninfo(old.port, old.socketDirectory) },
      env: host.env,
    });
    await fillSegments(old, 1);
    const common = await summary(old);
    await waitFor('the heir to have everything', async () => (await summary(heir)).rows === common.rows);
    await heir.query('SELECT pg_promote()');
    await untilOpen(heir);
    await heir.query('CHECKPOINT');
    await addRows(heir, 50);
    const [last = ''] = (await fillSegments(old, 4)).slice(-1);
    await untilAllArchived(old);
    await old.stop();
    // What the last checkpoint left of the segments that are archived.
    for (const name of readdirSync(join(old.dataDirectory, 'pg_wal'))) {
      if (/^[0-9A-F]{24}$/.test(name) && name < last) rmSync(join(old.dataDirectory, 'pg_wal', name));
    }

    const rewind = (): Promise<Ran> => {
      const source = conninfo(heir.port, heir.socketDirectory);
      const args = ['-D', old.dataDirectory, `--source-server=${source}`, '--restore-target-wal', '--no-sync'];
      return runAsServer(REWIND, args, { cwd: '/', env: host.env });
    };
    const archive = new Removable(site.archives[0]);
    archive.remove();
    const inOutage = await rewind();
    expect(inOutage.status).toBe(1);
    expect(inOutage.stderr).toMatch(/wal-fetch: archive file:.*there is no directory/);
    archive.bringBack();
    const rewound = await rewind();
    expect(rewound.status, rewound.stderr).toBe(0);

    await fillSegments(heir, 1);
    const now = await summary(heir);
    await old.start({
      signal: 'standby',
      settings: { ...settings, primary_conninfo: conninfo(heir.port, heir.socketDirectory) },
      env: host.env,
    });
    await waitFor(
      'the old primary to follow',
      async () => (await summary(old).catch(() => undefined))?.checksum === now.checksum,
    );
  },
);
