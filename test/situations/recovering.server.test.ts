import { describe, expect } from 'vitest';

import { objectKeys } from '../harness/archiving.ts';
import {
  archiverStatistics,
  fillSegments,
  startCopy,
  summary,
  untilAllArchived,
  untilOpen,
} from '../harness/ledger.ts';
import { needPgClients } from '../harness/pg-clients.ts';
import type { Settings } from '../harness/postgres.ts';
import { situation } from '../harness/situations.ts';
import type { Version } from '../harness/server-user.ts';
import { ownArchive, pastOf, TARGETS, type Past } from './past.ts';

describe('Recovering', () => {
  situation('to the end of all that was archived', async (version) => {
    const past = await pastOf(version);
    expect(await recovered(past, past.backup, {})).toEqual(past.atTheEnd);
  });

  situation(
    'a base backup of a standby',
    async (version) => {
      const past = await pastOf(version);
      expect(await recovered(past, past.standbyBackup ?? '', {})).toEqual(past.atTheEnd);
    },
    { runIf: !needPgClients() },
  );

  for (const target of TARGETS)
    situation(`to a target: ${target}`, async (version) => {
      const past = await pastOf(version);
      expect(await recovered(past, past.backup, past.targets[target])).toEqual(past.atTarget);
    });

  situation('to a target: immediate', async (version) => {
    const past = await pastOf(version);
    expect(await recovered(past, past.backup, { recovery_target: 'immediate' })).toEqual(past.atBackup);
  });

  situation('a recovered server archives its new timeline, which is recovered in turn', recoverTwice);
  situation('the abandoned end of an old timeline stays within reach', recoverAbandoned);
});

async function recovered(past: Past, backup: string, target: Settings): Promise<unknown> {
  const { archive, host } = await ownArchive(past);
  const settings = { ...host.restoring, ...target };
  await using server = await startCopy(backup, { signal: 'recovery', settings, env: host.env });
  await untilOpen(server);
  await untilAllArchived(server);
  expect((await archiverStatistics(server)).failed).toBe(0);
  expect(objectKeys(archive)).toContainEqual(expect.stringMatching(/\/wal\/00000002\.history$/));
  expect(server.log()).not.toMatch(/wal-(push|fetch): /);
  return await summary(server);
}

async function recoverTwice(version: Version): Promise<void> {
  const past = await pastOf(version);
  const { archive, host } = await ownArchive(past);
  const { restoring, env } = host;
  const early = { ...restoring, ...past.targets.name };
  await using server = await startCopy(past.backup, { signal: 'recovery', settings: early, env });
  await untilOpen(server);
  await fillSegments(server, 2);
  const onTheNewTimeline = await summary(server);
  await untilAllArchived(server);
  await server.stop();

  await using second = await startCopy(past.backup, { signal: 'recovery', settings: restoring, env });
  await untilOpen(second);
  expect(await summary(second)).toEqual(onTheNewTimeline);
  await untilAllArchived(second);
  expect(objectKeys(archive)).toContainEqual(expect.stringMatching(/\/wal\/00000003\.history$/));
}

async function recoverAbandoned(version: Version): Promise<void> {
  const past = await pastOf(version);
  const { archive, host } = await ownArchive(past);
  const { restoring, env } = host;
  const early = { ...restoring, ...past.targets.name };
  await using server = await startCopy(past.backup, { signal: 'recovery', settings: early, env });
  await untilOpen(server);
  await fillSegments(server, 1);
  await untilAllArchived(server);

  const settings = { ...restoring, recovery_target_timeline: '1' };
  await using other = await startCopy(past.backup, { signal: 'recovery', settings, env });
  await untilOpen(other);
  expect(await summary(other)).toEqual(past.atTheEnd);
  await untilAllArchived(other);
  expect(objectKeys(archive)).toContainEqual(expect.stringMatching(/\/wal\/00000003\.history$/));
}
