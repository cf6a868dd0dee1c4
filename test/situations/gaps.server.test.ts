import { renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect } from 'vitest';

import { objectKeys, type Host } from '../harness/archiving.ts';
import { fillSegments, startCopy, summary, untilAllArchived, untilOpen, untilStopped } from '../harness/ledger.ts';
import { situation } from '../harness/situations.ts';
import type { Version } from '../harness/server-user.ts';
import { ownArchive, pastOf, type Past } from './past.ts';

describe('A gap in the archive', () => {
  situation('the first segment of a timeline is missing: its abandoned parent is not replayed instead', missingChild);
  situation('the end of the parent timeline is missing: recovery does not stop short of the fork', missingParent);
});

async function missingChild(version: Version): Promise<void> {
  const past = await pastOf(version);
  const { archive, host } = await ownArchive(past);
  const onTheNewTimeline = await fork(past, host);
  const [first = ''] = objectKeys(archive).filter((key) => /\/00000002[0-9A-F]{16}$/.test(key));
  const missing = join(archive, first);
  renameSync(missing, `${archive}.missing`);

  const options = { settings: host.restoring, env: host.env };
  await using server = await startCopy(past.backup, { ...options, signal: 'recovery', waitUntilReady: false });
  await untilStopped(server);
  expect(server.log()).toContain('child process exited with exit code 207');
  expect(server.log()).toContain(`${basename(first)} is in no archive`);
  renameSync(`${archive}.missing`, missing);
  await server.start(options);
  await untilOpen(server);
  expect(await summary(server)).toEqual(onTheNewTimeline);
}

async function missingParent(version: Version): Promise<void> {
  const past = await pastOf(version);
  const { archive, host } = await ownArchive(past);
  await fork(past, host);
  // As after a fail-over: what the old primary wrote last was never archived.
  const segments = objectKeys(archive).filter((key) => /\/wal\/.*\/[0-9A-F]{24}$/.test(key));
  const position = (key: string): string => basename(key).slice(8);
  const ofTimeline = (timeline: string): string[] => segments.filter((key) => basename(key).startsWith(timeline));
  const [forkedAt = ''] = ofTimeline('00000002').map(position).sort();
  const before = ofTimeline('00000001').filter((key) => position(key) < forkedAt);
  const lost = ofTimeline('00000001').filter((key) => position(key) >= forkedAt);
  for (const key of [...lost, before.sort().at(-1) ?? '']) rmSync(join(archive, key));

  const options = { settings: host.restoring, env: host.env };
  await using server = await startCopy(past.backup, { ...options, signal: 'recovery', waitUntilReady: false });
  await untilStopped(server);
  expect(server.log()).toContain('child process exited with exit code 207');
  expect(server.log()).toContain('pg_wal/00000002.history says that timeline 1 went on to');
  expect(server.log()).not.toContain('archive recovery complete');
}

/** Recovers to the target, and archives three segments of the new timeline. What it holds then. */
async function fork(past: Past, host: Host): Promise<unknown> {
  const settings = { ...host.restoring, ...past.targets.name };
  await using server = await startCopy(past.backup, { signal: 'recovery', settings, env: host.env });
  await untilOpen(server);
  await fillSegments(server, 3);
  await untilAllArchived(server);
  return await summary(server);
}
