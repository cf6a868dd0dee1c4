import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';

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
import { needPgRewind, pgRewind, REWIND_VERSIONS } from '../harness/pg-rewind.ts';
import { startPostgres } from '../harness/postgres.ts';
import { makeScratch } from '../harness/scratch.ts';
import { serverUser, type Ran } from '../harness/server-user.ts';
import { situation } from '../harness/situations.ts';
import { conninfo, following, OFTEN, untilHolds } from '../harness/standbys.ts';

for (const version of REWIND_VERSIONS) {
  describe.skipIf(needPgRewind(version))('Standbys: pg_rewind -c', () => {
    situation(
      'it takes from the archive what the old primary, whose path has spaces, has not any more, and fails in an outage',
      async () => {
        const site = makeSite();
        const host = await Host.make(site);
        const settings = { ...OFTEN, ...following(host) };
        const options = { walSegmentSizeMb: 1, initdbArgs: ['--data-checksums'], settings, env: host.env };
        const dir = join(makeScratch('old', serverUser()), 'its  data, the old');
        await using old = await startPostgres({ version, dir, ...options });
        await createLedger(old);
        const backup = await takeBackup(old);
        const heirs = { ...OFTEN, ...following(host, old) };
        await using heir = await startCopy(backup, { signal: 'standby', settings: heirs, env: host.env });
        await fillSegments(old, 1);
        await untilHolds(heir, await summary(old));
        await heir.query('SELECT pg_promote()');
        await untilOpen(heir);
        await heir.query('CHECKPOINT');
        await addRows(heir, 50);
        const [last = ''] = (await fillSegments(old, 4)).slice(-1);
        await untilAllArchived(old);
        await old.stop();
        // What the last checkpoint left of the segments that are archived.
        for (const name of readdirSync(join(dir, 'pg_wal'))) {
          if (/^[0-9A-F]{24}$/.test(name) && name < last) rmSync(join(dir, 'pg_wal', name));
        }

        const source = `--source-server=${conninfo(heir)} dbname=postgres`;
        const rewind = (): Promise<Ran> => pgRewind(version, ['-D', dir, source, '-c'], host.env);
        const archive = new Removable(site.archives[0]);
        archive.remove();
        const inOutage = await rewind();
        expect(inOutage.status, inOutage.stderr).toBe(1);
        expect(inOutage.stderr).toMatch(/wal-fetch: archive file:.*there is no directory/);
        expect(inOutage.stderr).toMatch(/restore_command"? failed: child process exited with exit code 202/);
        archive.bringBack();
        const rewound = await rewind();
        expect(rewound.status, rewound.stderr).toBe(0);

        await fillSegments(heir, 1);
        const again = { ...OFTEN, ...following(host, heir) };
        await old.start({ signal: 'standby', settings: again, env: host.env });
        await untilHolds(old, await summary(heir));
      },
      { from: version, to: version },
    );
  });
}
