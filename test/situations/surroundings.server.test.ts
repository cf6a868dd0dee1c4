import { lstatSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect } from 'vitest';

import { Host, makeDirectory, makeSite, programs } from '../harness/archiving.ts';
import {
  archiverStatistics,
  createLedger,
  fillSegments,
  summary,
  takeBackup,
  untilAllArchived,
  untilOpen,
} from '../harness/ledger.ts';
import { asPid1, needNamespaces, noexecTmp, readOnlyRoot, withMounts } from '../harness/namespace.ts';
import { startFrom, startPostgres, type PostgresServer, type ServerOptions } from '../harness/postgres.ts';
import { makeScratch, preferDisk } from '../harness/scratch.ts';
import { situation } from '../harness/situations.ts';
import { copyAsServer, serverUser, type Version } from '../harness/server-user.ts';

/** What a server's life takes place in; the server that is recovered has the same. */
interface Surroundings {
  readonly initdbArgs?: readonly string[];
  /** Of the data directory. Default: `data`. */
  readonly directoryName?: string;
  readonly server?: Pick<ServerOptions, 'bare' | 'within'>;
  /** What the server's list of mounts then says. */
  readonly mounted?: RegExp;
}

/** Where an apostrophe, a space or a byte above 127 would do harm. */
const ODD_NAME = `größe "18" & it's $HOME; ☃`;
// /tmp and the root are what some of them change.
preferDisk();

const withNamespaces = { runIf: !needNamespaces() };

describe('Surroundings', () => {
  situation('group access to the data directory', (version) =>
    liveAndRecover(version, { initdbArgs: ['--allow-group-access'] }),
  );
  situation('spaces, quotes and UTF-8 in the path of the data directory', (version) =>
    liveAndRecover(version, { directoryName: ODD_NAME }),
  );
  situation('pg_wal is a symbolic link', (version) =>
    liveAndRecover(version, { initdbArgs: ['--waldir', join(makeScratch('waldir', serverUser()), 'wal')] }),
  );
  situation('an empty environment: no HOME, no PATH, no locale', (version) =>
    liveAndRecover(version, { server: { bare: true } }),
  );
  situation(
    'nothing can be run in /tmp',
    (version) =>
      liveAndRecover(version, {
        server: { within: withMounts(noexecTmp()) },
        mounted: new RegExp(` ${tmpdir()} rw,noexec`),
      }),
    withNamespaces,
  );
  situation(
    'a read-only root, and a read-only /tmp',
    (version) =>
      liveAndRecover(version, {
        server: { within: withMounts(readOnlyRoot()) },
        mounted: new RegExp(` / ro,[^]* ${tmpdir()} ro,noexec`),
      }),
    withNamespaces,
  );
  situation(
    'the postmaster is PID 1, as in a container',
    (version) => liveAndRecover(version, { server: { within: asPid1() } }),
    withNamespaces,
  );
});

async function liveAndRecover(
  version: Version,
  { initdbArgs, directoryName, server, mounted = /./ }: Surroundings,
): Promise<void> {
  const site = makeSite();
  const host = await Host.make(site);
  const name = directoryName ?? 'data';
  const inEnvironment = server?.bare === true ? {} : { env: host.env };
  const settings = { archive_mode: 'on', ...(await commands(host)) };
  const options = { ...server, ...inEnvironment, settings };
  await using first = await startPostgres({
    ...options,
    version,
    walSegmentSizeMb: 1,
    dir: join(makeScratch('pg', serverUser()), name),
    ...(initdbArgs && { initdbArgs }),
  });
  await createLedger(first);
  const backup = await takeBackup(first);
  await fillSegments(first, 3);
  const all = await summary(first);
  await untilAllArchived(first);
  expect((await archiverStatistics(first)).failed, first.log()).toBe(0);

  const copy = join(makeScratch('copy', serverUser()), name);
  copyAsServer(backup, copy);
  if (lstatSync(join(copy, 'pg_wal')).isSymbolicLink()) giveOwnWal(copy);
  await using second = await startFrom(copy, { ...options, signal: 'recovery' });
  await untilOpen(second);
  expect(await summary(second)).toEqual(all);
  await fillSegments(second, 1);
  await untilAllArchived(second);
  for (const each of [first, second]) expect(each.log()).not.toMatch(/wal-\w+: /);
  for (const each of [first, second]) expect(mountsOf(each)).toMatch(mounted);
}

function mountsOf(server: PostgresServer): string {
  return readFileSync(`/proc/${server.pid ?? 0}/mountinfo`, 'utf8');
}

/** The commands say where the settings are, so that they need no environment. */
async function commands(host: Host): Promise<{ archive_command: string; restore_command: string }> {
  const directory = await programs();
  const config = `--config ${host.configPath}`;
  return {
    archive_command: `${directory}/wal-push ${config} "%p"`,
    restore_command: `${directory}/wal-fetch ${config} "%f" "%p"`,
  };
}

/** A copy of the link would lead to the first server's WAL. */
function giveOwnWal(dataDirectory: string): void {
  const own = makeDirectory(join(makeScratch('waldir', serverUser()), 'wal'));
  rmSync(join(dataDirectory, 'pg_wal'));
  symlinkSync(own, join(dataDirectory, 'pg_wal'));
}
