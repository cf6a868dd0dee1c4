/**
 * What PostgreSQL makes of its restore_command, each fact shown with a command that is not walseal. That walseal does
 * not fall into what they make possible is shown by the files in parentheses. Fact: beginning of the situation's name.
 *
 * - RECOVERYXLOG is unlinked first; 0 without a file means absent: 'a file that lies there already' (test/launcher)
 * - 0 and a wrong size: 'a file of the wrong size' (bad archives)
 * - 143 or SIGTERM stops a hot standby: 'SIGTERM or 143' (test/launcher/signals)
 * - above 125 or a signal stops any server: 'above 125'; a standby at its first blip, or its promotion: 'a command that
 *   ends above 125' in standby-outage (standby-outage)
 * - 1 to 125 mean absent: '125 is an absence'
 * - 'absent' in an outage: 'without a target', 'with a target', 'on a history file', 'on the child timeline's segments',
 *   'a standby asks again' (moments-first, -second, -latest, recovery, standby-outage)
 * - signal files go before the last request, and a failure there replays past the target: 'the signal file' (moments-*)
 * - the order of requests: 'a recovery asks', 'a standby asks'
 * - `promote` is there when an archive-only standby decides, and consumed by one that streams, that is delayed or paused:
 *   'it finds', 'it has consumed' in standby-outage; 'promoted over an outage' in standby-held
 * - streaming waits for the command: 'while its command waits' in standby-outage
 * - honest absences that lie: 'an empty directory', 'a hole' (bad archives; recovery, standby-outage)
 * - %r, archive_cleanup_command: 'the names that are passed', 'archive_cleanup_command'
 * - pg_rewind -c, its directory, and above 125: rewind.server.test.ts
 */
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect } from 'vitest';

import { objectPath } from '../harness/archiving.ts';
import { branches, branchesCopy, type Branches } from '../harness/branches.ts';
import { TracedRestore } from '../harness/interference.ts';
import {
  archiverStatistics,
  fillSegments,
  startCopy,
  summary,
  untilLogged,
  untilOpen,
  untilStopped,
  waiting,
} from '../harness/ledger.ts';
import { undisturbed } from '../harness/moments.ts';
import type { PostgresServer, ServerOptions, Settings } from '../harness/postgres.ts';
import { writeAsServer } from '../harness/server-user.ts';
import { situation } from '../harness/situations.ts';
import { waitFor } from '../harness/wait.ts';

const TIMELINE_1 = { recovery_target_timeline: '1' };

describe('Restore: what PostgreSQL makes of the answers', () => {
  situation(
    'a file that lies there already is removed first, and a 0 without a file is an absence',
    async (version) => {
      const past = await branches(version);
      const [, second = ''] = segments(past);
      const command = `[ -e "%p" ] && touch stale; case %f in ${second}) exit 0 ;; esac; cp ${past.plain}/"%f" "%p"`;
      const inPgWal = { RECOVERYXLOG: join(past.plain, second) };
      await using server = await recover(past, command, TIMELINE_1, { inPgWal });
      await untilOpen(server);
      expect(existsSync(join(server.dataDirectory, 'stale'))).toBe(false);
      expect(await summary(server)).not.toEqual(past.abandoned);
    },
  );

  situation(
    'a file of the wrong size stops a recovery, while a standby asks again for what is too short',
    async (version) => {
      const past = await branches(version);
      const command = `echo %f >> asked; head -c 1000 ${past.plain}/"%f" > "%p"`;
      await using server = await recover(past, command, TIMELINE_1);
      await untilStopped(server);
      expect(server.log()).toMatch(/FATAL:.*has wrong size: 1000 instead of 1048576/);
      await using standby = await follow(past, command);
      await waitFor('the same segment to be asked for again', () => {
        const [first, ...others] = notes(standby).filter((name) => /^[0-9A-F]{24}$/.test(name));
        return others.filter((name) => name === first).length > 2;
      });
      expect(standby.pid).toBeDefined();
    },
  );

  situation('SIGTERM or 143 stops a standby', async (version) => {
    const past = await branches(version);
    for (const end of ['exit 143', 'kill -TERM $$']) {
      await using standby = await followUntil(past, end);
      await untilStopped(standby);
      expect(standby.log()).toMatch(/startup process \(PID \d+\) exited with exit code 1/);
    }
  });

  situation('above 125, or another signal, stops a standby', async (version) => {
    const past = await branches(version);
    for (const [end, said] of [
      ['exit 126', 'command not executable'],
      ['exit 202', 'exit code 202'],
      ['kill -KILL $$', 'signal 9|exit code 137'],
    ] as const) {
      await using standby = await followUntil(past, end);
      await untilStopped(standby);
      expect(standby.log()).toMatch(new RegExp(`FATAL:.*could not restore file.*${said}`));
    }
  });

  situation('125 is an absence: a recovery ends there, and opens', async (version) => {
    const past = await branches(version);
    await using server = await recover(past, `cp ${past.plain}/"%f" "%p" || exit 125`, TIMELINE_1);
    await untilOpen(server);
    expect(await summary(server)).toEqual(past.abandoned);
  });

  situation('the names that are passed: %r is zeros before redo begins, and after it', async (version) => {
    const past = await branches(version);
    const command = `echo %r >> asked; cp ${past.plain}/"%f" "%p"`;
    await using server = await recover(past, command, { recovery_target_timeline: 'latest' });
    await untilOpen(server);
    const [first = ''] = segments(past);
    const zeros = '0'.repeat(24);
    expect(notes(server)[0]).toBe(zeros);
    expect(notes(server).at(-1)).toBe(zeros);
    expect([...new Set(notes(server))]).toEqual([zeros, first]);
  });

  situation('archive_cleanup_command may fail', async (version) => {
    const past = await branches(version);
    await using standby = await follow(past, `cp ${past.plain}/"%f" "%p"`, { archive_cleanup_command: 'exit 255' });
    await untilHot(standby);
    await standby.query('CHECKPOINT');
    await untilLogged(standby, /WARNING:.*archive_cleanup_command.*exit code 255|WARNING:.*exit 255/);
    expect(standby.pid).toBeDefined();
  });
});

describe('Restore: what a cp does in an outage', () => {
  situation('without a target, a recovery opens with rows missing', async (version) => {
    const past = await branches(version);
    const [, second = ''] = segments(past);
    await using server = await recover(past, absentFrom(past, second), TIMELINE_1);
    await untilOpen(server);
    const { rows } = await summary(server);
    expect(rows).toBe(0);
    expect(past.abandoned.rows).toBeGreaterThan(0);
  });

  situation('with a target, a recovery ends before it, and stops', async (version) => {
    const past = await branches(version);
    const [, second = ''] = segments(past);
    await using server = await recover(past, absentFrom(past, second), past.goals.first.settings);
    await untilStopped(server);
    expect(server.log()).toContain('FATAL:  recovery ended before configured recovery target was reached');
  });

  situation(
    'on a history file, a recovery takes a timeline number that is taken, and archives nothing any more',
    async (version) => {
      const past = await branches(version);
      const { archive, host } = await branchesCopy(past);
      const command = `case %f in *.history) exit 1 ;; esac; cp ${past.plain}/"%f" "%p"`;
      const settings = { ...TIMELINE_1, ...host.archiving };
      await using server = await recover(past, command, settings, { env: host.env });
      await untilOpen(server);
      const written = await fillSegments(server, 2);
      await untilLogged(server, /archive command failed with exit code 73/);
      await waitFor('the failure to be counted', async () => (await archiverStatistics(server)).failed > 0);
      expect((await archiverStatistics(server)).lastFailed).toBe('00000002.history');
      expect(waiting(server)).toEqual(expect.arrayContaining(['00000002.history', ...written]));
      expect(written.map((name) => name.slice(0, 8))).toEqual(['00000002', '00000002']);
      expect(objectPath(archive, '00000004.history')).toBeUndefined();
    },
  );

  situation(
    "on the child timeline's segments, a recovery replays the end of the parent that was left",
    async (version) => {
      const past = await branches(version);
      const command = `case %f in 0000000[23]????????????????) exit 1 ;; esac; cp ${past.plain}/"%f" "%p"`;
      await using server = await recover(past, command, { recovery_target_timeline: 'latest' });
      await untilOpen(server);
      expect(await summary(server)).toEqual(past.abandoned);
    },
  );

  situation('a standby asks again, and opens with rows missing when it is promoted then', async (version) => {
    const past = await branches(version);
    const [, second = ''] = segments(past);
    const command = `echo %f >> asked; ${absentFrom(past, second)}`;
    await using standby = await follow(past, command, TIMELINE_1);
    await waitFor('five requests for one segment', () => notes(standby).filter((name) => name === second).length >= 5);
    expect((await standby.query('SELECT pg_is_in_recovery() AS yes'))[0]?.['yes']).toBe(true);
    await standby.query('SELECT pg_promote()');
    await untilOpen(standby);
    expect((await summary(standby)).rows).toBe(0);
  });

  situation(
    'an empty directory opens a backup that brings its own WAL without any of what came later',
    async (version) => {
      const past = await branches(version);
      const [first = '', second = ''] = segments(past);
      const inPgWal = Object.fromEntries([first, second].map((name) => [name, join(past.plain, name)]));
      await using server = await recover(past, 'cp /var/empty/nothing/"%f" "%p"', TIMELINE_1, { inPgWal });
      await untilOpen(server);
      expect(await summary(server)).not.toEqual(past.abandoned);

      const { archive, host } = await branchesCopy(past);
      rmSync(archive, { recursive: true });
      const options = { inPgWal, env: host.env };
      await using stopped = await recover(past, host.restoreCommand, TIMELINE_1, options);
      await untilStopped(stopped);
      expect(stopped.log()).toContain('child process exited with exit code 202');
    },
  );

  situation('a hole opens with rows missing', async (version) => {
    const past = await branches(version);
    const [, second = ''] = segments(past);
    await using server = await recover(past, `[ %f != ${second} ] && cp ${past.plain}/"%f" "%p"`, TIMELINE_1);
    await untilOpen(server);
    expect(await summary(server)).not.toEqual(past.abandoned);
  });
});

describe('Restore: what is asked for, and when', () => {
  situation(
    'a recovery asks for histories up to the first gap, for each segment, for the last one again, and for the parent',
    async (version) => {
      const past = await branches(version);
      const asked = (await undisturbed(past, past.goals.latest)).map(({ name, status }) => `${name} ${status}`);
      const missed = asked.findIndex((request) => /^[0-9A-F]{24} 1$/.test(request));
      expect(asked.slice(0, 4)).toEqual([
        '00000002.history 0',
        '00000003.history 0',
        '00000004.history 1',
        '00000003.history 0',
      ]);
      const got = asked.slice(4, missed).filter((request) => !request.includes('.history'));
      const positions = got.map((request) => Number.parseInt(request.slice(8, 24), 16));
      expect(positions).toEqual(positions.map((_, index) => (positions[0] ?? 0) + index));
      // 13 and 14 look once behind the last one, later versions twice.
      const misses = asked.filter((request) => request === asked[missed]);
      expect(misses.length).toBe(version < 15 ? 1 : 2);
      expect(asked.slice(missed + misses.length)).toEqual([got.at(-1), '00000004.history 1', '00000003.history 1']);
    },
  );

  situation(
    'the signal file is gone at the last request, and a failure there replays past the target',
    async (version) => {
      const past = await branches(version);
      const { host } = await branchesCopy(past);
      const before = 'ls *.signal > signals.$n';
      const traced = new TracedRestore(host.restoreCommand, { before });
      await using server = await recover(past, traced.command, past.goals.second.settings, { env: host.env });
      await untilOpen(server);
      const requests = traced.requests();
      const signals = requests.map((_, index) =>
        readFileSync(join(server.dataDirectory, `signals.${index + 1}`), 'utf8'),
      );
      expect(signals).toEqual(requests.map((_, index) => (index + 1 < requests.length ? 'recovery.signal\n' : '')));

      const last = `[ $n = ${requests.length} ]`;
      const failing = new TracedRestore(`cp ${past.plain}/"%f" "%p"`, { after: `${last} && exit 202` });
      await using lost = await recover(past, failing.command, past.goals.second.settings);
      await untilStopped(lost);
      expect(lost.log()).toMatch(/could not restore file "00000002.history".*exit code 202/);
      await expectPastTarget(lost, past);

      // What no command can help.
      const waiting = new TracedRestore(host.restoreCommand, { before: `${last} && touch waits && exec sleep 60` });
      await using crashed = await recover(past, waiting.command, past.goals.second.settings, { env: host.env });
      await waitFor('the last request', () => existsSync(join(crashed.dataDirectory, 'waits')));
      await crashed.stop('immediate');
      await expectPastTarget(crashed, past);
    },
  );

  situation('a standby asks for the next segment, then for the next history, and sleeps', async (version) => {
    const past = await branches(version);
    const command = `echo %f >> asked; cp ${past.plain}/"%f" "%p"`;
    await using standby = await follow(past, command, { recovery_target_timeline: 'latest' });
    await waitFor('some rounds', () => notes(standby).filter((name) => name === '00000004.history').length > 5);
    const rounds = notes(standby).slice(-6);
    const segment = rounds.find((name) => name.length === 24) ?? '';
    const pair = [segment, '00000004.history'];
    const turned = rounds[0] === segment ? pair : pair.toReversed();
    expect(rounds).toEqual([...turned, ...turned, ...turned]);
  });
});

/** The server comes up on the timeline that it was taken back on, with what was to be undone. */
async function expectPastTarget(server: PostgresServer, past: Branches): Promise<void> {
  const { settings, holds } = past.goals.second;
  await server.start({ settings });
  expect(await summary(server)).not.toEqual(holds);
  const [row] = await server.query('SELECT timeline_id AS timeline FROM pg_control_checkpoint()');
  expect(row?.['timeline']).toBe(2);
}

/** The segments of timeline 1, from the one on that the backup needs first. */
function segments({ plain, backup }: Branches): string[] {
  const label = readFileSync(join(backup, 'backup_label'), 'utf8');
  const [, first = ''] = /^START WAL LOCATION: .*\(file ([0-9A-F]{24})\)/.exec(label) ?? [];
  return readdirSync(plain)
    .filter((name) => /^00000001[0-9A-F]{16}$/.test(name) && name >= first)
    .sort();
}

/** The lines that a restore_command has written into the data directory. */
function notes(server: PostgresServer): string[] {
  const path = join(server.dataDirectory, 'asked');
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : [];
}

async function untilHot(standby: PostgresServer): Promise<void> {
  await waitFor(
    'the standby to take queries',
    async () => (await standby.query('SELECT 1').catch(() => [])).length === 1,
    30_000,
    () => standby.log().slice(-4_000),
  );
}

/** What `cp` does when the directory is lost at this file. */
function absentFrom({ plain }: Branches, name: string): string {
  return `[ %f = ${name} ] && touch lost; [ ! -e lost ] && cp ${plain}/"%f" "%p"`;
}

type Options = Omit<ServerOptions, 'signal' | 'settings'> & { readonly inPgWal?: Readonly<Record<string, string>> };

function recover(past: Branches, command: string, settings: Settings, options: Options = {}): Promise<PostgresServer> {
  return startCopy(past.backup, {
    signal: 'recovery',
    settings: { recovery_target_action: 'promote', restore_command: command, ...settings },
    waitUntilReady: false,
    ...options,
  });
}

async function follow(past: Branches, command: string, settings: Settings = {}): Promise<PostgresServer> {
  const often = { wal_retrieve_retry_interval: '50ms' };
  return startCopy(past.backup, {
    signal: 'standby',
    settings: { ...often, restore_command: command, ...settings },
    waitUntilReady: false,
  });
}

/** A hot standby whose command then ends in this way. */
async function followUntil(past: Branches, end: string): Promise<PostgresServer> {
  const command = `if [ -e end ]; then ${end}; fi; cp ${past.plain}/"%f" "%p"`;
  const standby = await follow(past, command);
  await untilHot(standby);
  writeAsServer(join(standby.dataDirectory, 'end'), '');
  return standby;
}
