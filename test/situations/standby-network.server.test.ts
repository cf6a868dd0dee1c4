import { describe, expect } from 'vitest';

import { Host, makeSite } from '../harness/archiving.ts';
import {
  createLedger,
  fillSegments,
  startCopy,
  summary,
  takeBackup,
  untilAllArchived,
  untilLogged,
  untilOpen,
  untilStopped,
  type Summary,
} from '../harness/ledger.ts';
import { needStore } from '../harness/need.ts';
import { startRelay, type Relay } from '../harness/net/relay.ts';
import { startPostgres, type PostgresServer } from '../harness/postgres.ts';
import { situation } from '../harness/situations.ts';
import type { Version } from '../harness/server-user.ts';
import { following, untilAsleep, untilHolds } from '../harness/standbys.ts';
import { makeCloudArchive } from '../harness/stores/archives.ts';
import { minio } from '../harness/stores/minio.ts';
import { waitFor } from '../harness/wait.ts';

describe.skipIf(needStore('minio'))('Standbys: promoted while the network to the archive is down', () => {
  situation('it keeps trying, and opens with everything when the network is back', async (version) => {
    await using made = await startBehind(version, '60s');
    const { standby, relay, all } = made;
    const before = relay.requests.length;
    await standby.query('SELECT pg_promote(wait => false)');
    await waitFor('some tries', () => relay.requests.length >= before + 3);
    relay.behave();
    await untilOpen(standby);
    expect(await summary(standby)).toEqual(all);
  });

  situation('it keeps trying until [fetch] deadline, and stops', async (version) => {
    await using made = await startBehind(version, '2s');
    const { standby, relay, all, host } = made;
    const before = relay.requests.length;
    await standby.query('SELECT pg_promote(wait => false)').catch(() => undefined);
    await untilStopped(standby);
    expect(relay.requests.length).toBeGreaterThan(before + 2);
    expect(standby.log()).toContain('child process exited with exit code 202');
    expect(standby.log()).not.toContain('archive recovery complete');
    relay.behave();
    await standby.start({ settings: following(host), env: host.env });
    await untilHolds(standby, all);
  });
});

interface Behind extends AsyncDisposable {
  readonly host: Host;
  readonly relay: Relay;
  readonly standby: PostgresServer;
  /** What the archive has. */
  readonly all: Summary;
}

/** A standby without a stream, whose network to the archive went down before it had all. */
async function startBehind(version: Version, deadline: string): Promise<Behind> {
  const relay = await startRelay({ target: (await minio()).endpoint });
  const archive = await makeCloudArchive('s3', relay.endpoint);
  const options = { archives: [archive.table], env: archive.env, fetch: { deadline, standby_deadline: '500ms' } };
  const host = await Host.make(makeSite(), options);
  await using primary = await startPostgres({ version, walSegmentSizeMb: 1, settings: host.archiving, env: host.env });
  await createLedger(primary);
  const backup = await takeBackup(primary);
  await fillSegments(primary, 1);
  const before = await summary(primary);
  const [behind = ''] = await fillSegments(primary, 2);
  await untilAllArchived(primary);
  const all = await summary(primary);
  relay.misbehave({ do: 'reset' }, { when: ({ path }) => path.includes(behind), times: Infinity });
  const settings = { ...following(host), wal_retrieve_retry_interval: '4s' };
  const standby = await startCopy(backup, { signal: 'standby', settings, env: host.env });
  await untilHolds(standby, before);
  await untilLogged(standby, /wal-fetch: archive s3:.*ECONNRESET/);
  await untilAsleep(standby);
  return {
    host,
    relay,
    standby,
    all,
    async [Symbol.asyncDispose]() {
      await standby.remove();
      await relay.close();
    },
  };
}
