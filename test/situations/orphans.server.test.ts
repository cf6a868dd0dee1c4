/** What becomes of a process that the archiver's command leaves behind, where the postmaster is PID 1 and adopts it. */
import { describe, expect } from 'vitest';

import { archiverPid, launcherAndProgramOf } from '../harness/archiver.ts';
import { Host, makeSite } from '../harness/archiving.ts';
import { createLedger, logged, switchSegment, untilAllArchived, untilLogged, untilOpen } from '../harness/ledger.ts';
import { asPid1, needNamespaces } from '../harness/namespace.ts';
import { startNeverAccepting } from '../harness/net/never-accepts.ts';
import { startPostgres } from '../harness/postgres.ts';
import { situation } from '../harness/situations.ts';
import type { Version } from '../harness/server-user.ts';
import { isRunning, waitFor } from '../harness/wait.ts';

const RESTARTS = 'terminating any other active server processes';
const withNamespaces = { runIf: !needNamespaces() };

describe.concurrent('A postmaster that is PID 1', () => {
  situation('takes the end of an adopted process with anything but 0 or 1 for a crash', adoptsStranger, withNamespaces);
  situation('does not crash over a push whose launcher is killed', adoptsPush, withNamespaces);
});

/** The fact that walseal must live with. */
async function adoptsStranger(version: Version): Promise<void> {
  const settings = { archive_mode: 'on', archive_command: '(sleep 0.5; exit 3) & true' };
  await using server = await startPostgres({ version, walSegmentSizeMb: 1, settings, within: asPid1() });
  await switchSegment(server);
  await untilLogged(server, RESTARTS);
  expect(server.log()).toMatch(/exited with exit code 3/);
  await untilOpen(server);
}

async function adoptsPush(version: Version): Promise<void> {
  const site = makeSite();
  await using hanging = await startNeverAccepting();
  const archives = [{ url: 's3://bucket/wal', region: 'eu-central-1', endpoint: hanging.endpoint }];
  const credentials = { AWS_ACCESS_KEY_ID: 'nobody', AWS_SECRET_ACCESS_KEY: 'nothing' };
  const host = await Host.make(site, { archives, env: credentials });
  const { archiving, env } = host;
  await using server = await startPostgres({
    version,
    walSegmentSizeMb: 1,
    settings: archiving,
    env,
    within: asPid1(),
  });
  await createLedger(server);
  const archiver = await archiverPid(server);
  await switchSegment(server);
  await waitFor('the push to run', () => launcherAndProgramOf(archiver) !== undefined);
  const [launcher = 0, program = 0] = launcherAndProgramOf(archiver) ?? [];
  process.kill(launcher, 'SIGKILL');
  await waitFor('the orphan to end', () => !isRunning(program));

  host.configure({});
  await archiverPid(server);
  await switchSegment(server);
  await untilAllArchived(server);
  expect(logged(server, RESTARTS), server.log()).toBe(false);
}
