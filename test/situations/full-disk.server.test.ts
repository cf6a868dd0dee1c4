import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';

import { Host } from '../harness/archiving.ts';
import { fillSegments, startCopy, summary, untilOpen, untilStopped } from '../harness/ledger.ts';
import { needNamespaces, withMounts } from '../harness/namespace.ts';
import { archiveOf, pastOf } from '../harness/past.ts';
import { PostgresServer } from '../harness/postgres.ts';
import { serverUser } from '../harness/server-user.ts';
import { situation } from '../harness/situations.ts';
import { hintIn, snapshot, untilArchivingGoesOn, untilRefused } from './refused.ts';

const onlyWithMounts = { runIf: !needNamespaces() };
/** Less than a sealed segment takes that has so many rows. */
const SMALL = '32k';
const MANY_ROWS = 3_000;

/** A file system that is small, for the server and its commands alone. */
function smallDisk(path: string): readonly string[] {
  const { uid, gid } = serverUser();
  return withMounts(`mount -t tmpfs -o size=${SMALL},uid=${uid},gid=${gid},mode=0700 tmpfs "${path}"`);
}

describe('full disks', () => {
  situation(
    "the archive's: archiving waits with 75, and goes on when there is room",
    async (version) => {
      const past = await pastOf(version);
      const archive = archiveOf(past);
      const host = await Host.make(past.site, { archives: [{ url: archive }] });
      const { archiving: settings, env } = host;
      await using server = await startCopy(past.dataDirectory, { settings, env, within: smallDisk(archive) });
      const [refused = ''] = await fillSegments(server, 1, MANY_ROWS);
      const told = await untilRefused(server, refused, 75);
      expect(told).toMatch(new RegExp(`^wal-push: archive file://${archive}: .*ENOSPC: no space left on device`, 'm'));
      expect(hintIn(told)).toBe('Make room in the archive, or raise its limit; nothing was stored.');

      const { pid = 0 } = server;
      execFileSync('nsenter', ['--target', String(pid), '--mount', 'mount', '-o', 'remount,size=64m', archive]);
      await untilArchivingGoesOn(server);
    },
    onlyWithMounts,
  );

  situation(
    "the server's: a recovery stops with 206, and goes on when there is room",
    async (version) => {
      const past = await pastOf(version);
      const host = await Host.make(past.site, { archives: [{ url: archiveOf(past) }] });
      await using server = new PostgresServer(snapshot({ dataDirectory: past.backup }));
      const recovering = {
        signal: 'recovery',
        settings: { restore_command: host.restoreCommand },
        env: host.env,
      } as const;
      const within = smallDisk(join(server.dataDirectory, 'pg_wal'));
      await server.start({ ...recovering, within, waitUntilReady: false });
      await untilStopped(server);
      expect(server.log()).toContain('child process exited with exit code 206');
      expect(server.log()).toMatch(/^wal-fetch: cannot write \S*pg_wal\/xlogtemp\.walseal\.\S+: ENOSPC$/m);
      expect(server.log()).toMatch(/^wal-fetch: hint: The disk is full: make room\./m);
      expect(existsSync(join(server.dataDirectory, 'recovery.signal'))).toBe(true);
      await server.start(recovering);
      await untilOpen(server);
      expect(await summary(server)).toEqual(past.held);
    },
    onlyWithMounts,
  );
});
