import { describe, expect } from 'vitest';

import { histories } from '../harness/branches.ts';
import { addRows, fillSegments, logged, startCopy, summary, untilAllArchived, untilOpen } from '../harness/ledger.ts';
import type { PostgresServer } from '../harness/postgres.ts';
import { situation } from '../harness/situations.ts';
import { following, OFTEN, startPair, startPrimary, untilHolds, untilStreaming } from '../harness/standbys.ts';

const SWITCHES = 5;

describe('Standbys: fail-over', () => {
  situation('switched over and back five times, all of it can be recovered from the first backup', async (version) => {
    await using pair = await startPair(version);
    const { host, archive, backup } = pair;
    const settings = (from: PostgresServer): ReturnType<typeof following> => ({ ...OFTEN, ...following(host, from) });
    let [primary, standby] = [pair.primary, pair.standby];
    for (let i = 0; i < SWITCHES; i += 1) {
      await fillSegments(primary, 1);
      await addRows(primary, 50);
      const before = await summary(primary);
      // One that is only about to stream does not get the last record of the primary, which can't follow it then.
      await untilHolds(standby, before);
      await untilStreaming(standby);
      await primary.stop();
      await standby.query('SELECT pg_promote()');
      await untilOpen(standby);
      expect(await summary(standby)).toEqual(before);
      await addRows(standby, 50);
      await primary.start({ signal: 'standby', settings: settings(standby), env: host.env });
      await untilStreaming(primary);
      [primary, standby] = [standby, primary];
    }
    await fillSegments(primary, 1);
    const all = await summary(primary);
    await untilHolds(standby, all);
    for (const server of [primary, standby]) {
      await untilAllArchived(server);
      expect(logged(server, 'archive command failed'), server.log()).toBe(false);
    }
    expect(histories(archive.path)).toEqual(['2', '3', '4', '5', '6'].map((timeline) => `0000000${timeline}.history`));

    await using copy = await startCopy(backup, { signal: 'recovery', settings: host.restoring, env: host.env });
    await untilOpen(copy);
    expect(await summary(copy)).toEqual(all);
  });

  situation('a standby that lives from the archive alone follows each of them', async (version) => {
    await using made = await startPrimary(version);
    const { host, backup, primary } = made;
    const settings = { ...OFTEN, ...following(host) };
    const copy = (): Promise<PostgresServer> => startCopy(backup, { signal: 'standby', settings, env: host.env });
    await using heir = await copy();
    await using last = await copy();
    await fillSegments(primary, 1);
    const before = await summary(primary);
    await primary.stop();
    for (const server of [heir, last]) await untilHolds(server, before);
    await heir.query('SELECT pg_promote()');
    await untilOpen(heir);
    await fillSegments(heir, 2);
    const after = await summary(heir);
    await untilAllArchived(heir);
    await untilHolds(last, after);
    await heir.stop();
    await last.query('SELECT pg_promote()');
    await untilOpen(last);
    expect(await summary(last)).toEqual(after);
    await fillSegments(last, 1);
    await untilAllArchived(last);
    expect(histories(made.archive.path)).toEqual(['00000002.history', '00000003.history']);
  });
});
