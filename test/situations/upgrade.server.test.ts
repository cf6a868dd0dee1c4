import { spawnSync } from 'node:child_process';
import { chmodSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect } from 'vitest';

import { contents, Host, makeDirectory, makeSite, objectKeys } from '../harness/archiving.ts';
import { CHECKOUT } from '../harness/dist.ts';
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
import { makeScratch } from '../harness/scratch.ts';
import { situation } from '../harness/situations.ts';
import { asUser, binary, runAsServer, serverUser, writeAsServer } from '../harness/server-user.ts';

/** Where Debian's postgresql-15 is installed: pg_upgrade takes all programs of the new version from one build. */
const NEW = '/usr/lib/postgresql/15/bin';
/** pg_resetwal of the old version, as scripts/lib/pg-clients.sh brings it. */
const RESETWAL = join(CHECKOUT, '.cache/pg-clients/13/bin/pg_resetwal');
const canRun = (program: string): boolean => spawnSync(program, ['--version'], asUser(serverUser())).status === 0;
const isThere = canRun(join(NEW, 'pg_upgrade')) && canRun(RESETWAL);

describe('Identity', () => {
  situation('pg_upgrade to 15, into the same archive: two trees, nothing refused, both are recovered', upgrade, {
    to: 13,
    runIf: isThere,
  });
});

async function upgrade(): Promise<void> {
  const site = makeSite();
  const host = await Host.make(site);
  const [archive] = site.archives;
  const { archiving, restoring, env } = host;
  await using old = await startPostgres({ version: 13, walSegmentSizeMb: 1, settings: archiving, env });
  await createLedger(old);
  const oldBackup = await takeBackup(old);
  await fillSegments(old, 2);
  const oldRows = await summary(old);
  await untilAllArchived(old);
  await old.stop();
  const [oldTree] = trees(archive);

  await using upgraded = await startPostgres({ version: 15, walSegmentSizeMb: 1 });
  await upgraded.stop();
  const directories = ['-d', old.dataDirectory, '-D', upgraded.dataDirectory, '-b', oldPrograms(), '-B', NEW];
  const work = makeScratch('upgrade', serverUser());
  const ran = await runAsServer(join(NEW, 'pg_upgrade'), [...directories, '-U', 'postgres'], { cwd: work, env });
  expect(ran.status, ran.stdout + ran.stderr).toBe(0);
  const before = contents(archive);

  await upgraded.start({ settings: archiving, env });
  expect(await summary(upgraded)).toEqual(oldRows);
  const newBackup = await takeBackup(upgraded);
  await fillSegments(upgraded, 2);
  const newRows = await summary(upgraded);
  await untilAllArchived(upgraded);
  expect((await archiverStatistics(upgraded)).failed, upgraded.log()).toBe(0);
  expect(contents(archive)).toMatchObject(before);
  const [newTree, ...others] = trees(archive).filter((tree) => tree !== oldTree);
  expect(others).toEqual([]);
  expect(namesIn(archive, newTree).length).toBeGreaterThan(2);

  for (const [backup, rows] of [
    [oldBackup, oldRows],
    [newBackup, newRows],
  ] as const) {
    await using copy = await startCopy(backup, { signal: 'recovery', settings: restoring, env });
    await untilOpen(copy);
    expect(await summary(copy)).toEqual(rows);
  }
}

function trees(archive: string): string[] {
  return [...new Set(objectKeys(archive).map((key) => key.split('/')[0] ?? ''))];
}

function namesIn(archive: string, tree: string | undefined): string[] {
  return objectKeys(archive).flatMap((key) => (key.startsWith(`${tree ?? ''}/`) ? [basename(key)] : []));
}

/** What pg_upgrade runs of the old version. Its pg_control has the layout of 15's, which 15's pg_controldata reads. */
function oldPrograms(): string {
  const directory = makeDirectory(join(makeScratch('old', serverUser()), 'bin'));
  const installed = dirname(binary(13, 'postgres'));
  for (const [from, program] of [
    [installed, 'postgres'],
    [installed, 'pg_ctl'],
    [NEW, 'pg_controldata'],
  ] as const)
    symlinkSync(join(from, program), join(directory, program));
  // It finds its libraries beside itself.
  writeAsServer(join(directory, 'pg_resetwal'), `#!/bin/sh\nexec ${RESETWAL} "$@"\n`);
  chmodSync(join(directory, 'pg_resetwal'), 0o700);
  return directory;
}
