import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';

import { PUSH_PRECEDENCE, STATUS, type FailureKind } from '../../src/exit.ts';
import { contents, damage, objectPath } from '../harness/archiving.ts';
import { archiverPid, Breakable, killProgram, withMode, type Trouble } from '../harness/failures.ts';
import { archiverStatistics, fillSegments, startCopy, untilAllArchived, untilLogged } from '../harness/ledger.ts';
import { startSilent } from '../harness/net/silent.ts';
import { pastOf, type Life } from '../harness/past.ts';
import type { PostgresServer } from '../harness/postgres.ts';
import type { Version } from '../harness/server-user.ts';
import { situation } from '../harness/situations.ts';
import { waitFor } from '../harness/wait.ts';
import { layReady, pushAgain, setAside, untilArchivingGoesOn, untilRefused } from './refused.ts';

/** From before the past began to archive. */
const OLD_NAME = '000000010000000000000001';
/** As the server names it, or from the root where the agent tells. */
const IN_PG_WAL = '(\\S*/)?pg_wal/';
const ZEROS = Buffer.alloc(1024 * 1024);
/** The postmaster waits for 10 s, and longer where nothing wakes it, before it starts an archiver again (PGARCH_RESTART_INTERVAL). */
const RESTART_LIMIT_MS = 90_000;

interface Setting extends Life {
  readonly breakable: Breakable;
  /** It has been archived, and lies in pg_wal. */
  readonly segment: string;
}

type PushTrouble = Trouble & {
  readonly kind: FailureKind;
  /** What is refused, where that is not the next segment. */
  readonly file?: string;
};

describe('what the archiver makes of each status of wal-push', () => {
  situation(
    'a failure is logged and counted, holds up what comes after, and is tried again until it is mended',
    async (version) => {
      await using setting = await begin(version);
      const { server, archive } = setting;
      const archiver = archiverPid(server);
      const all = troubles(setting);
      expect(all.map(({ kind }) => kind).sort()).toEqual([...PUSH_PRECEDENCE, 'bug'].sort());
      for (const { kind, ...trouble } of all) {
        const from = server.log().length;
        await trouble.begin();
        const held = contents(archive);
        const [next = ''] = await fillSegments(server, 1);
        const told = await untilRefused(server, trouble.file ?? next, STATUS[kind].push, from);
        expect(told).toMatch(trouble.says);
        expect(contents(archive)).toEqual(held);
        await trouble.mend();
        await untilArchivingGoesOn(server);
        expect(objectPath(archive, next)).toBeDefined();
      }
      expect(archiverPid(server)).toBe(archiver);
    },
  );

  situation('SIGKILL is a failure as any other; SIGTERM restarts the archiver, and is not counted', async (version) => {
    await using silent = await startSilent();
    await using setting = await begin(version, silent.env);
    const { server, breakable } = setting;
    const archiver = archiverPid(server);
    const stuck = breakable.configured({ archives: [silent.archive] }, /./);
    const [next = ''] = await hang();
    await killProgram(server, 'SIGKILL');
    await untilRefused(server, next, STATUS.bug.push);
    await stuck.mend();
    await untilArchivingGoesOn(server);
    expect(archiverPid(server)).toBe(archiver);

    const { failed } = await archiverStatistics(server);
    await hang();
    await killProgram(server, 'SIGTERM');
    await untilLogged(server, /archive command (failed with exit code 143|was terminated by signal 15)/);
    await stuck.mend();
    await waitFor('another archiver', () => hasAnotherArchiver(server, archiver), RESTART_LIMIT_MS);
    await untilArchivingGoesOn(server);
    expect((await archiverStatistics(server)).failed).toBe(failed);

    async function hang(): Promise<string[]> {
      await stuck.begin();
      const names = await fillSegments(server, 1);
      await silent.untilAsked(() => server.log().slice(-2_000));
      return names;
    }
  });
});

/** A server that has archived a segment since it was started. */
async function begin(version: Version, env: Readonly<Record<string, string>> = {}): Promise<Setting> {
  const past = await pastOf(version);
  const breakable = await Breakable.make(past, env);
  const { host, archive } = breakable;
  const settings = { ...host.archiving, archive_command: breakable.pushCommand };
  const server = await startCopy(past.dataDirectory, { settings, env: host.env });
  const [segment = ''] = await fillSegments(server, 1);
  await untilAllArchived(server);
  return { breakable, segment, host, archive: archive.path, server, [Symbol.asyncDispose]: () => server.remove() };
}

/** For each status how it comes about, and its way out. */
function troubles(setting: Setting): PushTrouble[] {
  const { breakable, server, archive, segment } = setting;
  const inPgWal = join(server.dataDirectory, 'pg_wal', segment);
  const again = (): void => {
    pushAgain(server, segment);
  };
  const unreadable = withMode(
    inPgWal,
    0o000,
    new RegExp(`wal-push: cannot read ${IN_PG_WAL}${segment}: EACCES\n.*readable for the user`),
  );
  return [
    { kind: 'bug', ...breakable.programGone() },
    { kind: 'usage', ...breakable.misspelt() },
    { kind: 'unreachable', ...breakable.archiveGone() },
    { kind: 'denied', ...breakable.archiveDenied() },
    {
      kind: 'unwritable',
      ...unreadable,
      file: segment,
      begin: () => {
        unreadable.begin();
        again();
      },
    },
    {
      kind: 'invalid',
      file: OLD_NAME,
      says: new RegExp(
        `wal-push: ${IN_PG_WAL}${OLD_NAME}: the first page is filled with zeros.*\n.*"walseal set-aside ${IN_PG_WAL}${OLD_NAME}"`,
      ),
      begin: () => {
        layReady(server, OLD_NAME, ZEROS);
      },
      mend: () => setAside(setting, OLD_NAME),
    },
    {
      kind: 'damaged',
      file: segment,
      says: new RegExp(
        `wal-push: archive file://${archive} holds a corrupt object [^ ]*/${segment}: .*\n.*remove it by hand, and the next attempt`,
      ),
      begin: () => {
        damage(objectPath(archive, segment) ?? '');
        again();
      },
      mend: () => {
        rmSync(objectPath(archive, segment) ?? '');
      },
    },
    {
      kind: 'different',
      file: segment,
      says: new RegExp(
        `wal-push: archive file://${archive} holds a different file named ${segment}: there .*; here .*\n.*"walseal set-aside pg_wal/${segment}"`,
      ),
      begin: () => {
        damage(inPgWal);
        again();
      },
      mend: () => setAside(setting, segment),
    },
  ];
}

/** A connection wakes the postmaster, which sleeps for a minute else. */
async function hasAnotherArchiver(server: PostgresServer, than: number): Promise<boolean> {
  await server.query('SELECT 1');
  return ![than, 0].includes(archiverPid(server));
}
