import { expect, test } from 'vitest';

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
} from '../harness/ledger.ts';
import { startPostgres } from '../harness/postgres.ts';
import { VERSIONS } from '../harness/server-user.ts';

test.each(VERSIONS)(
  'PostgreSQL %i archives, is recovered to a point, archives its new timeline, and is recovered again',
  async (version) => {
    const site = makeSite();
    const host = await Host.make(site);
    const { archiving, restoring, env } = host;
    await using server = await startPostgres({ version, walSegmentSizeMb: 1, settings: archiving, env });
    await createLedger(server);
    const backup = await takeBackup(server);
    await fillSegments(server, 2);
    await server.query("SELECT pg_create_restore_point('here')");
    const here = await summary(server);
    await fillSegments(server, 2);
    await untilAllArchived(server);
    expect((await archiverStatistics(server)).failed).toBe(0);
    await server.stop();

    const settings = { ...restoring, recovery_target_name: 'here' };
    await using recovered = await startCopy(backup, { signal: 'recovery', settings, env });
    await untilOpen(recovered);
    expect(await summary(recovered)).toEqual(here);
    await fillSegments(recovered, 2);
    const later = await summary(recovered);
    await untilAllArchived(recovered);
    expect((await archiverStatistics(recovered)).failed).toBe(0);

    await using again = await startCopy(backup, { signal: 'recovery', settings: restoring, env });
    await untilOpen(again);
    expect(await summary(again)).toEqual(later);
    expect(again.log()).not.toMatch(/wal-(push|fetch): /);
  },
);
