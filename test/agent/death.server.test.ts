import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';

import { agentsOf } from '../harness/agents.ts';
import { objectKeys, type Host } from '../harness/archiving.ts';
import {
  addRows,
  archiverStatistics,
  fillSegments,
  startCopy,
  summary,
  switchSegment,
  takeBackup,
  untilAllArchived,
  untilOpen,
  waiting,
} from '../harness/ledger.ts';
import { needStore } from '../harness/need.ts';
import type { PostgresServer } from '../harness/postgres.ts';
import { situation } from '../harness/situations.ts';
import { startMinio } from '../harness/stores/minio.ts';
import { command, openPlace, release, untilListening, withAgent } from './place.ts';

const LIMIT_MS = 90_000;

/** As often as there is an agent, kills it a random while later, until all is archived. Returns how many died. */
async function killAgents(server: PostgresServer, random: () => number, longestMs: number): Promise<number> {
  const end = performance.now() + LIMIT_MS;
  let killed = 0;
  while (waiting(server).length > 0) {
    if (performance.now() > end) throw new Error(`${waiting(server).length} files wait\n${server.log().slice(-3_000)}`);
    await pause(random() * longestMs);
    for (const agent of agentsOf(server.dataDirectory)) {
      process.kill(agent, 'SIGKILL');
      killed += 1;
    }
  }
  return killed;
}

/** The same seed gives the same pauses; what falls into them is the machine's own. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

/** A recovery sees all that the server has written. */
async function expectRecovery(backup: string, server: PostgresServer, host: Host): Promise<void> {
  const all = await summary(server);
  await switchSegment(server);
  await untilAllArchived(server);
  const settings = { restore_command: host.restoreCommand };
  await using copy = await startCopy(backup, { signal: 'recovery', settings, env: host.env });
  await untilOpen(copy);
  expect(await summary(copy)).toEqual(all);
}

situation('the death of an agent at any instant costs nothing but time', async (version) => {
  await using place = await openPlace(0, { version });
  const { server, site, host } = place;
  const seed = Date.now() % 1_000_000;
  console.log(`seed ${seed}`);
  const backup = await takeBackup(server);
  const segments = await fillSegments(server, 60);
  await release(place);
  expect(await killAgents(server, seeded(seed), 250), `seed ${seed}`).toBeGreaterThan(2);

  const names = objectKeys(site.archives[0]).map((key) => key.slice(key.lastIndexOf('/') + 1));
  expect(names.filter((name) => segments.includes(name)).toSorted()).toEqual(segments);
  expect(objectKeys(site.archives[0]).filter((key) => key.includes('/aside/'))).toEqual([]);
  expect(await archiverStatistics(server)).toMatchObject({ failed: 0 });
  await expectRecovery(backup, server, host);
});

test.runIf(!needStore('minio'))(
  'deaths of the agent and of the store at random moments lose and mix nothing',
  async () => {
    const store = await startMinio();
    try {
      const bucket = await store.makeBucket();
      const url = `s3://${bucket}/wal`;
      const { endpoint, region, root } = store;
      await using place = await openPlace(0, {
        archives: [{ url, endpoint, region, force_path_style: true, conditional_create: 'proven' }],
        env: { AWS_ACCESS_KEY_ID: root.accessKeyId, AWS_SECRET_ACCESS_KEY: root.secretAccessKey },
        top: { deadline: '5s' },
      });
      const { server, host } = place;
      const seed = Date.now() % 1_000_000;
      console.log(`seed ${seed}`);
      const random = seeded(seed);
      const backup = await takeBackup(server);
      const segments = await fillSegments(server, 60);
      await release(place);
      let isDone = false;
      let deaths = 0;
      const killStore = async (): Promise<void> => {
        while (!isDone && deaths < 5) {
          await pause(random() * 1_500);
          await store.server.kill();
          deaths += 1;
          await pause(random() * 500);
          await store.server.revive('/minio/health/ready');
        }
      };
      const killing = killStore();
      try {
        await killAgents(server, random, 1_500);
      } finally {
        isDone = true;
        await killing;
      }
      expect(deaths).toBeGreaterThan(0);
      const names = (await store.eye.keys(bucket)).map((key) => key.slice(key.lastIndexOf('/') + 1));
      expect(
        names.filter((name) => segments.includes(name)),
        `seed ${seed}`,
      ).toEqual(segments);
      expect(server.log()).not.toMatch(/exit code (73|74|65|70)/);
      await expectRecovery(backup, server, host);
    } finally {
      await store.server.stop();
    }
  },
);

test('a claim dies with the server that it was made under', async () => {
  await using place = await openPlace(0);
  const { server, site, host } = place;
  const backup = await takeBackup(server);
  const agent = await withAgent(place, 30);
  await server.kill();
  await server.start();
  await addRows(server, 100);
  await switchSegment(server);
  await untilAllArchived(server);
  expect(agentsOf(server.dataDirectory)).not.toContain(agent);
  const keys = objectKeys(site.archives[0]);
  expect(new Set(keys).size).toBe(keys.length);
  expect(server.log()).not.toContain('archive command failed');
  await expectRecovery(backup, server, host);
});

test('an archive that is not required and away is warned of, and all that waits is archived', async () => {
  await using place = await openPlace(0, {
    archiveCount: 2,
  });
  const { server, host, site } = place;
  const [first, second = ''] = site.archives;
  host.configure({
    agent: {},
    archives: [{ url: first }, { url: `${second}/missing`, required: false }],
    top: { deadline: '5s' },
  });
  await command(server, '');
  const segments = await fillSegments(server, 12);
  await release(place);
  await untilListening(server.dataDirectory);
  await untilAllArchived(server);
  const names = objectKeys(first).map((key) => key.slice(key.lastIndexOf('/') + 1));
  expect(names).toEqual(expect.arrayContaining(segments));
  expect(objectKeys(second)).toEqual([]);
  expect(server.log().match(/not required: the file counts as archived/g)?.length).toBeGreaterThanOrEqual(12);
  expect((await archiverStatistics(server)).failed).toBe(0);
});
