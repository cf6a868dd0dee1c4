import { describe, expect } from 'vitest';

import { Host, makeSite, objectKeys, type Site } from '../harness/archiving.ts';
import {
  addRows,
  archiverStatistics,
  createLedger,
  fillSegments,
  logged,
  startCopy,
  summary,
  takeBackup,
  untilAllArchived,
  untilLogged,
  untilOpen,
} from '../harness/ledger.ts';
import { startPostgres, type PostgresServer, type Settings } from '../harness/postgres.ts';
import { situation } from '../harness/situations.ts';
import { conninfo, untilHolds, untilStreaming } from '../harness/standbys.ts';

const SEGMENT = /\/([0-9A-F]{24})$/;

describe('Standbys: archive_mode = always', () => {
  situation(
    'primary, standby and a cascade behind it push the same files, and a promotion leaves archiving intact',
    async (version) => {
      const site = makeSite();
      const host = await Host.make(site);
      const always = { archive_mode: 'always', archive_command: host.archiveCommand };
      await using primary = await startPostgres({ version, walSegmentSizeMb: 1, settings: always, env: host.env });
      await createLedger(primary);
      const backup = await takeBackup(primary);
      const following = (server: PostgresServer): Settings => ({
        ...always,
        restore_command: host.restoreCommand,
        wal_retrieve_retry_interval: '200ms',
        primary_conninfo: conninfo(server),
      });
      await using heir = await startCopy(backup, { signal: 'standby', settings: following(primary), env: host.env });
      await untilStreaming(heir);
      // A cascade: its stream of the old timeline ends in mid-segment, and it marks that segment all the same.
      await using second = await startCopy(backup, { signal: 'standby', settings: following(heir), env: host.env });
      await untilStreaming(second);

      const pushed = await fillSegments(primary, 8);
      for (const server of [primary, heir, second]) {
        await untilHolds(server, await summary(primary));
        await untilAllArchived(server);
        expect((await archiverStatistics(server)).failed, server.log()).toBe(0);
        expect((await archiverStatistics(server)).archived).toBeGreaterThan(0);
      }
      expect(segmentsOf(site)).toEqual(expect.arrayContaining(pushed));
      expect(new Set(segmentsOf(site)).size).toBe(segmentsOf(site).length);

      await addRows(primary, 100);
      const before = await summary(primary);
      await untilHolds(heir, before);
      await untilHolds(second, before);
      await primary.stop('immediate');
      await heir.query('SELECT pg_promote()');
      await untilOpen(heir);
      await addRows(heir, 100);
      await fillSegments(heir, 3);
      await untilHolds(second, await summary(heir));
      await fillSegments(heir, 2);
      await untilHolds(second, await summary(heir));
      for (const server of [heir, second]) await untilAllArchived(server);

      await untilLogged(second, /wal-push: 00000001[0-9A-F]{16} went aside: timeline 1 ended at/);
      expect(logged(second, 'archive command failed'), second.log()).toBe(false);
      expect(logged(heir, 'archive command failed'), heir.log()).toBe(false);
      const aside = objectKeys(site.archives[0]).filter((key) => key.includes('/aside/'));
      expect(aside).toHaveLength(1);
      const after = await summary(heir);

      await using copy = await startCopy(backup, { signal: 'recovery', settings: host.restoring, env: host.env });
      await untilOpen(copy);
      expect(await summary(copy)).toEqual(after);
    },
  );
});

function segmentsOf(site: Site): string[] {
  return objectKeys(site.archives[0]).flatMap((key) => SEGMENT.exec(key)?.[1] ?? []);
}
