import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';

import { Host, objectPath } from '../harness/archiving.ts';
import { branches, branchesCopy, histories, type Branches, type Goal } from '../harness/branches.ts';
import { Removable, TracedRestore } from '../harness/interference.ts';
import { startCopy, summary, untilAllArchived, untilOpen, untilStopped } from '../harness/ledger.ts';
import { crashAt, loseArchiveAgainAndAgain, resumeWithout, undisturbed } from '../harness/moments.ts';
import { situation } from '../harness/situations.ts';

describe('Recovery: outages and crashes', () => {
  situation(
    'started again after each request that fails, one after the other, it reaches its target',
    async (version) => {
      const past = await branches(version);
      expect(await loseArchiveAgainAndAgain(past, past.goals.second)).toBeGreaterThan(5);
    },
  );

  situation('a crash at any request changes nothing', async (version) => {
    const past = await branches(version);
    for (const number of await crashable(past, past.goals.second)) await crashAt(past, past.goals.second, number);
  });

  situation(
    'a recovery that waits at its target and is resumed in an outage stops, and waits there again',
    async (version) => {
      const past = await branches(version);
      await resumeWithout(past, past.goals.second);
    },
  );

  situation(
    'a history file that is missing below a known timeline stops it, instead of a number that is used twice',
    async (version) => {
      const past = await branches(version);
      const { archive, host } = await branchesCopy(past);
      const { settings: target, holds } = past.goals.first;
      const lost = objectPath(archive, '00000003.history') ?? '';
      renameSync(lost, `${archive}.lost`);
      const options = { settings: { ...host.restoring, ...target }, env: host.env };
      await using server = await startCopy(past.backup, { ...options, signal: 'recovery', waitUntilReady: false });
      await untilStopped(server);
      expect(server.log()).toContain('child process exited with exit code 207');
      renameSync(`${archive}.lost`, lost);
      await server.start(options);
      await untilOpen(server);
      expect(await summary(server)).toEqual(holds);
      await untilAllArchived(server);
      expect(histories(archive)).toContain('00000004.history');
    },
  );

  situation(
    'with one of two archives gone, it takes the rest from the other, and opens only when the lost one is left out',
    async (version) => {
      const past = await branches(version);
      const [{ archive }, { archive: rest }] = [await branchesCopy(past), await branchesCopy(past)];
      const away = new Removable(archive);
      const host = await Host.make(past.site, { archives: [{ url: away.path }, { url: rest }] });
      const traced = new TracedRestore(host.restoreCommand, { before: `[ $n = 8 ] && ${away.shell}` });
      const options = { settings: { ...host.restoring, restore_command: traced.command }, env: host.env };
      await using server = await startCopy(past.backup, { ...options, signal: 'recovery', waitUntilReady: false });
      await untilStopped(server);
      expect(server.log()).toContain(`taken from archive file://${rest}`);
      expect(server.log()).toContain('child process exited with exit code 202');
      expect(server.log()).toMatch(new RegExp(`is not proven absent: .*${away.path}`));
      expect(server.log()).toContain('remove its [[archive]] block');
      expect(existsSync(join(server.dataDirectory, 'recovery.signal'))).toBe(true);
      expect(
        traced
          .requests()
          .slice(7)
          .filter(({ status }) => status === 0).length,
      ).toBeGreaterThan(1);

      host.configure({ archives: [{ url: rest }] });
      await server.start({ settings: host.restoring, env: host.env });
      await untilOpen(server);
      expect(await summary(server)).toEqual(past.goals.latest.holds);
    },
  );
});

/**
 * All requests but the last, for the parent's history: when the server asks for it, it has unlinked its signal file,
 * and a crash then makes the next start replay past the target, whatever the command says.
 */
async function crashable(past: Branches, goal: Goal): Promise<number[]> {
  const requests = await undisturbed(past, goal);
  return requests.slice(0, -1).map((_, index) => index + 1);
}
