import { describe, expect, test } from 'vitest';

import { Host, makeSite } from '../harness/archiving.ts';
import {
  archiverStatistics,
  createLedger,
  fillSegments,
  startCopy,
  summary,
  takeBackup,
  untilAllArchived,
  untilOpen,
  untilStopped,
} from '../harness/ledger.ts';
import { needStore } from '../harness/need.ts';
import { freePort } from '../harness/ports.ts';
import { startPostgres } from '../harness/postgres.ts';
import { CLOUDS, makeCloudArchive, type Cloud } from '../harness/stores/archives.ts';

for (const [cloud, server] of Object.entries(CLOUDS)) {
  describe.skipIf(needStore(server))(`an archive in ${cloud}://`, () => {
    test('takes what a server archives, and gives it back to the point that is asked for', async () => {
      const archive = await makeCloudArchive(cloud as Cloud);
      const site = makeSite();
      const host = await Host.make(site, { archives: [archive.table], env: archive.env });
      const { archiving, restoring, env } = host;
      await using primary = await startPostgres({ version: 18, walSegmentSizeMb: 1, settings: archiving, env });
      await createLedger(primary);
      const backup = await takeBackup(primary);
      await fillSegments(primary, 3);
      await primary.query("SELECT pg_create_restore_point('here')");
      const here = await summary(primary);
      await fillSegments(primary, 3);
      await untilAllArchived(primary);
      expect(await archiverStatistics(primary)).toMatchObject({ failed: 0 });
      await primary.stop('immediate');

      const settings = { ...restoring, recovery_target_name: 'here' };
      await using recovered = await startCopy(backup, { signal: 'recovery', settings, env });
      await untilOpen(recovered);
      expect(await summary(recovered)).toEqual(here);
      await fillSegments(recovered, 2);
      const later = await summary(recovered);
      await untilAllArchived(recovered);
      expect(await archiverStatistics(recovered)).toMatchObject({ failed: 0 });
      await recovered.stop('immediate');

      await using again = await startCopy(backup, { signal: 'recovery', settings: restoring, env });
      await untilOpen(again);
      expect(await summary(again)).toEqual(later);
      expect(again.log()).not.toMatch(/wal-(push|fetch): /);
    });

    test('that is away stops a recovery, which goes on when it is back', async () => {
      const archive = await makeCloudArchive(cloud as Cloud);
      const away = await makeCloudArchive(cloud as Cloud, `http://127.0.0.1:${await freePort()}`);
      const site = makeSite();
      const host = await Host.make(site, { archives: [archive.table], env: archive.env });
      await using primary = await startPostgres({
        version: 18,
        walSegmentSizeMb: 1,
        settings: host.archiving,
        env: host.env,
      });
      await createLedger(primary);
      const backup = await takeBackup(primary);
      await fillSegments(primary, 3);
      const all = await summary(primary);
      await untilAllArchived(primary);
      await primary.stop('immediate');

      const gone = await Host.make(site, { archives: [away.table], env: away.env, fetch: { deadline: '1s' } });
      const options = { signal: 'recovery', settings: gone.restoring, env: gone.env, waitUntilReady: false } as const;
      await using stopped = await startCopy(backup, options);
      await untilStopped(stopped);
      expect(stopped.log()).toContain('child process exited with exit code 202');
      expect(stopped.log()).not.toContain('archive recovery complete');

      await stopped.start({ settings: host.restoring, env: host.env });
      await untilOpen(stopped);
      expect(await summary(stopped)).toEqual(all);
    });
  });
}
