import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, onTestFinished } from 'vitest';

import { Host, makeDirectory, makeSite, objectPath, type Site } from '../harness/archiving.ts';
import { Removable } from '../harness/interference.ts';
import {
  addRows,
  archiverStatistics,
  createLedger,
  fillSegments,
  startCopy,
  summary,
  switchSegment,
  takeBackup,
  untilAllArchived,
  untilLogged,
  untilOpen,
  waiting,
} from '../harness/ledger.ts';
import { startPostgres } from '../harness/postgres.ts';
import { situation } from '../harness/situations.ts';
import { serverUser } from '../harness/server-user.ts';
import { waitFor } from '../harness/wait.ts';

interface Outage {
  readonly status: number;
  readonly message: RegExp;
  /** A site whose archive can be broken and mended. */
  readonly begin: (site: Site) => void;
  readonly end: (site: Site) => void;
  readonly onMount?: boolean;
}

const archiveOf = (site: Site): string => site.archives[0];
const run = (command: string, ...args: string[]): void => {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`);
};
const filler = (site: Site): string => join(archiveOf(site), 'lost+found', 'filler');

const OUTAGES: Readonly<Record<string, Outage>> = {
  'is gone': {
    status: 69,
    message: /there is no directory/,
    begin: (site) => new Removable(archiveOf(site)).remove(),
    end: (site) => new Removable(archiveOf(site)).bringBack(),
  },
  'is read-only': {
    status: 75,
    message: /is read-only: so mounted/,
    begin: (site) => run('mount', '-o', 'remount,ro', archiveOf(site)),
    end: (site) => run('mount', '-o', 'remount,rw', archiveOf(site)),
    onMount: true,
  },
  'is full': {
    status: 75,
    message: /Make room in the archive/,
    begin: (site) => {
      makeDirectory(join(archiveOf(site), 'lost+found'));
      spawnSync('dd', ['if=/dev/zero', `of=${filler(site)}`, 'bs=64k']);
    },
    end: (site) => run('rm', filler(site)),
    onMount: true,
  },
};

const canMount = mayMount();

describe('Archiving: the archive fails while the server runs', () => {
  for (const [name, { status, message, begin, end, onMount }] of Object.entries(OUTAGES)) {
    if (onMount === true && !canMount) continue;
    situation(`it ${name}: the server runs on, says why, and catches up by itself`, async (version) => {
      const site = makeSite();
      if (onMount === true) mountTmpfs(archiveOf(site));
      const host = await Host.make(site);
      await using server = await startPostgres({
        version,
        walSegmentSizeMb: 1,
        settings: host.archiving,
        env: host.env,
      });
      await createLedger(server);
      await fillSegments(server, 1);
      const backup = await takeBackup(server);
      await untilAllArchived(server);

      begin(site);
      const during = await fillSegments(server, 4);
      await untilLogged(server, `archive command failed with exit code ${status}`);
      expect(server.log()).toMatch(message);
      await waitFor('the failures to be counted', async () => (await archiverStatistics(server)).failed > 0);
      expect(waiting(server)).toEqual(expect.arrayContaining(during));

      end(site);
      await addRows(server, 10);
      const all = await summary(server);
      await switchSegment(server);
      await untilAllArchived(server);
      for (const segment of during) expect(objectPath(archiveOf(site), segment), segment).toBeDefined();
      await server.stop();

      const settings = { restore_command: host.restoreCommand };
      await using copy = await startCopy(backup, { signal: 'recovery', settings, env: host.env });
      await untilOpen(copy);
      expect(await summary(copy)).toEqual(all);
    });
  }

  situation(
    'it is one that is not required: it holds nothing up, and the log tells what it misses',
    async (version) => {
      const site = makeSite(2);
      const [main, spare] = site.archives;
      const archives = [{ url: main }, { url: spare ?? '', required: false }];
      const host = await Host.make(site, { archives });
      await using server = await startPostgres({
        version,
        walSegmentSizeMb: 1,
        settings: host.archiving,
        env: host.env,
      });
      const away = new Removable(spare ?? '');
      away.remove();
      const segments = [await switchSegment(server), await switchSegment(server)];
      await untilAllArchived(server);
      away.bringBack();
      const later = [await switchSegment(server)];
      await untilAllArchived(server);

      expect((await archiverStatistics(server)).failed).toBe(0);
      expect(server.log()).toMatch(/wal-push: archive file:.*there is no directory.*not required/);
      for (const segment of segments) {
        expect(objectPath(main, segment)).toBeDefined();
        expect(objectPath(away.path, segment)).toBeUndefined();
      }
      for (const segment of later) expect(objectPath(away.path, segment)).toBeDefined();
    },
  );
});

function mountTmpfs(path: string): void {
  const { uid, gid } = serverUser();
  run('mount', '-t', 'tmpfs', '-o', `size=4m,mode=0700,uid=${uid},gid=${gid}`, 'walseal-test', path);
  onTestFinished(() => run('umount', '--lazy', path));
}

/** Only root may mount, and not in every container; where everything is meant to be there, it must. */
function mayMount(): boolean {
  const path = makeSite().directory;
  const may = spawnSync('mount', ['-t', 'tmpfs', 'walseal-test', path]).status === 0;
  if (may) run('umount', path);
  else if (process.env['CI'] === 'true')
    throw new Error('the tests of a full and a read-only archive need to mount a tmpfs');
  return may;
}
