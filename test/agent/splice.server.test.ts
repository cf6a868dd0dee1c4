import { readdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';

import { agentsOf } from '../harness/agents.ts';
import { Host, makeDirectory, makeSite, type HostOptions, type Site, type Table } from '../harness/archiving.ts';
import { createLedger, fillSegments, logged, startCopy, waiting } from '../harness/ledger.ts';
import { needStore } from '../harness/need.ts';
import { startRelay } from '../harness/net/relay.ts';
import { startPostgres, type PostgresServer } from '../harness/postgres.ts';
import { minio } from '../harness/stores/minio.ts';
import { waitFor } from '../harness/wait.ts';
import { command, HELD } from './place.ts';

const SEGMENTS = 12;

interface Copy {
  readonly server: PostgresServer;
  readonly host: Host;
  /** The segments that it has written since it was copied. */
  readonly own: readonly string[];
}

/** Two servers on copies of one cluster, each of which has written its own segments under the same names. */
async function twoCopies(
  site: Site,
  options: HostOptions,
): Promise<AsyncDisposable & { readonly copies: readonly [Copy, Copy] }> {
  await using origin = await startPostgres({ version: 18, walSegmentSizeMb: 1, settings: HELD });
  await createLedger(origin);
  await fillSegments(origin, 3);
  await origin.stop();
  const make = async (): Promise<Copy> => {
    const host = await Host.make(site, options);
    const server = await startCopy(origin.dataDirectory, { settings: HELD, env: host.env });
    return { server, host, own: await fillSegments(server, SEGMENTS) };
  };
  const copies = [await make(), await make()] as const;
  expect(copies[0].own).toEqual(copies[1].own);
  const dispose = async (): Promise<void> => {
    for (const { server } of copies) await server.remove();
  };
  return { copies, [Symbol.asyncDispose]: dispose };
}

/** Both drain into one new archive at once. Only one of them comes past the first segment that differs. */
async function race(copies: readonly [Copy, Copy], options: HostOptions): Promise<void> {
  const logs = copies.map(({ server }) => server.log().length);
  for (const { server, host } of copies) {
    await command(server, '');
    host.configure(options);
    markAllReady(server);
  }
  await Promise.all(copies.map(({ server, host }) => command(server, host.archiveCommand)));
  // It wakes the archiver; what it writes is the same for both only in its name.
  for (const { server } of copies) await server.query('SELECT pg_switch_wal()');
  const isRefused = ({ server }: Copy, index: number): boolean => logged(server, 'exit code 73', logs[index]);
  const isDone = ({ server, own }: Copy): boolean => !waiting(server).some((name) => own.includes(name));
  await waitFor(
    'one to be done and the other to be refused',
    () => copies.some(isDone) && copies.some(isRefused),
    90_000,
    () => copies.map(({ server }) => `${waiting(server).join(' ')}\n${server.log().slice(-2_000)}`).join('\n---\n'),
  );
  const [winner, loser] = isDone(copies[0]) ? copies : [copies[1], copies[0]];
  // Two that were started at once end with one.
  await waitFor('one agent', () => agentsOf(winner.server.dataDirectory).length === 1);
  expect(waiting(loser.server).filter((name) => loser.own.includes(name))).toEqual(loser.own);
  for (const name of winner.own) {
    const fetched = await winner.host.run('wal-fetch', [name, 'fetched'], winner.server.dataDirectory);
    expect(fetched).toMatchObject({ status: 0 });
    const [theirs, mine] = ['fetched', join('pg_wal', name)].map((path) =>
      readFileSync(join(winner.server.dataDirectory, path)),
    );
    expect(mine !== undefined && theirs?.equals(mine), name).toBe(true);
  }
}

/** Has the server archive everything once more. */
function markAllReady(server: PostgresServer): void {
  const directory = join(server.dataDirectory, 'pg_wal', 'archive_status');
  for (const name of readdirSync(directory).filter((one) => one.endsWith('.done')))
    renameSync(join(directory, name), join(directory, name.replace(/done$/, 'ready')));
}

test('two copies of a cluster never splice what they write in a directory', async () => {
  const site = makeSite();
  await using pair = await twoCopies(site, { agent: {} });
  for (let round = 1; round <= 5; round += 1) {
    const url = makeDirectory(join(site.directory, `round${round}`));
    await race(pair.copies, { agent: {}, archives: [{ url }] });
  }
});

test.runIf(!needStore('minio'))('nor in a slow store', async () => {
  const store = await minio();
  await using relay = await startRelay({ target: store.endpoint });
  const slow = {
    do: 'hold',
    get until() {
      return pause(Math.random() * 100);
    },
  } as const;
  relay.misbehave(slow, { times: Infinity });
  const site = makeSite();
  const { accessKeyId, secretAccessKey } = store.root;
  const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
  const archive = async (): Promise<Table & { url: string }> => ({
    url: `s3://${await store.makeBucket()}/wal`,
    endpoint: relay.endpoint,
    region: store.region,
    force_path_style: true,
    conditional_create: 'proven',
  });
  await using pair = await twoCopies(site, { agent: {}, env, archives: [await archive()] });
  for (let round = 1; round <= 3; round += 1) await race(pair.copies, { agent: {}, archives: [await archive()] });
});
