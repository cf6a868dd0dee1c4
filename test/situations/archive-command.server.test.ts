/**
 * What PostgreSQL does with an archive_command, as walseal takes it to be; each fails where the server does otherwise.
 * Further facts have their situations elsewhere:
 *
 * - a crash between the command's 0 and the note of it; a command that outlives its archiver; SIGQUIT in mid-push:
 *   crashes.server.test.ts
 * - archive_mode = always, and what a standby marks: standby-always.server.test.ts
 * - zero-filled leftovers: refused-files.server.test.ts; copies with one identity: refusals.server.test.ts; another
 *   segment size: resetwal.server.test.ts
 * - what a postmaster that is PID 1 makes of orphans: orphans.server.test.ts
 * - how long a stop takes: stopping.server.test.ts
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect } from 'vitest';

import { archiverPid } from '../harness/archiver.ts';
import { Host, makeSite, objectKeys } from '../harness/archiving.ts';
import {
  archiverStatistics,
  createLedger,
  fillSegments,
  switchSegment,
  takeBackup,
  untilAllArchived,
  untilLogged,
  untilOpen,
} from '../harness/ledger.ts';
import { startPostgres, type InitOptions, type PostgresServer } from '../harness/postgres.ts';
import { makeScratch } from '../harness/scratch.ts';
import { situation } from '../harness/situations.ts';
import { serverUser, writeAsServer, type Version } from '../harness/server-user.ts';
import { TracedArchive } from '../harness/traced-archive.ts';
import { waitFor } from '../harness/wait.ts';

/** Where the server looks for more to do after each file, until it learned to take 64 at once. */
const BATCHES_SINCE = 14;
const BATCH = 64;
/** SIGINT, SIGPIPE and SIGALRM as the kernel lists them. */
const IGNORED = [2, 13, 14];
const SIGQUIT = 3;

// Most of their time they wait.
describe.concurrent('What the server does with archive_command', () => {
  situation('0: the file is done; 1 to 125: a failure is logged and counted, and the same file comes again', statuses);
  situation('three tries a second apart, then none before something wakes it; the first file blocks all others', tries);
  situation('over 125, or dead by a signal: the archiver ends and comes back, and nothing is counted', archiverDies);
  situation('each .history first, then by name, one at a time; .backup and .partial as well', order);
  situation('which file is next is decided after each push (13), or for 64 at once (from 14 on)', batches);
  situation('where and how the command runs, and with which environment', surroundings);
  situation('group access: the umask of the command is 0027', (version) => expectUmask(version, 'g', '0027'));
  situation('no group access: the umask of the command is 0077', (version) => expectUmask(version, '', '0077'));
  situation(
    'a command longer than 1023 bytes is cut, and its rest is never run',
    (version) => runLong(version, false),
    {
      to: 15,
    },
  );
  situation('a command longer than 1023 bytes is run whole', (version) => runLong(version, true), { from: 16 });
  situation('a fast stop lets the command finish, and postmaster.pid says that the server stops', fastStop);
  situation('an immediate stop sends the command a SIGQUIT', immediateStop);
});

function start(version: Version, command: string, options: Partial<InitOptions> = {}): Promise<PostgresServer> {
  const settings = { archive_mode: 'on', archive_command: command };
  return startPostgres({ ...options, version, walSegmentSizeMb: 1, settings });
}

async function statuses(version: Version): Promise<void> {
  const traced = new TracedArchive('true');
  traced.answer('exit 1');
  await using server = await start(version, traced.command);
  const archiver = await archiverPid(server);
  const segment = await switchSegment(server);
  await untilLogged(server, 'archive command failed with exit code 1\n');
  traced.answer('exit 125');
  await switchSegment(server);
  await untilLogged(server, 'archive command failed with exit code 125\n');
  await waitFor('the failures to be counted', async () => (await archiverStatistics(server)).failed >= 2);
  expect((await archiverStatistics(server)).lastFailed).toBe(segment);
  expect(existsSync(statusFile(server, segment, 'done'))).toBe(false);
  traced.letThrough();
  await switchSegment(server);
  await untilAllArchived(server);
  expect(existsSync(statusFile(server, segment, 'done'))).toBe(true);
  expect(await archiverPid(server)).toBe(archiver);
  await waitFor('the successes to be counted', async () => (await archiverStatistics(server)).archived === 3);
}

async function tries(version: Version): Promise<void> {
  const traced = new TracedArchive('false');
  await using server = await start(version, traced.command);
  const segment = await switchSegment(server);
  const givenUp = (): number => server.log().split('failed too many times, will try again later').length - 1;
  await waitFor('the server to give up', () => givenUp() === 1);
  const calls = traced.calls();
  expect(calls.map(({ name }) => name)).toEqual([segment, segment, segment]);
  for (const [i, { beganMs }] of calls.slice(1).entries())
    expect(beganMs - (calls[i]?.beganMs ?? 0)).toBeGreaterThanOrEqual(1_000);
  await switchSegment(server);
  await waitFor('it to give up again', () => givenUp() === 2);
  expect(traced.calls().map(({ name }) => name)).toEqual(Array.from({ length: 6 }, () => segment));
}

async function archiverDies(version: Version): Promise<void> {
  const traced = new TracedArchive('true');
  await using server = await start(version, traced.command);
  for (const [lines, message] of [
    ['exit 126', 'archive command failed with exit code 126'],
    ['kill -KILL $PPID', 'archive command was terminated by signal 9'],
  ] as const) {
    const archiver = await archiverPid(server);
    traced.answer(lines);
    await switchSegment(server);
    await untilLogged(server, message);
    traced.letThrough();
    await waitFor('the archiver to be another', async () => (await archiverPid(server)) !== archiver);
  }
  await untilAllArchived(server);
  expect((await archiverStatistics(server)).failed).toBe(0);
}

/** With walseal, and a new timeline, while the archive was blocked. */
async function order(version: Version): Promise<void> {
  const site = makeSite();
  const host = await Host.make(site);
  const traced = new TracedArchive(host.archiveCommand);
  traced.answer('exit 1');
  const settings = { ...host.archiving, archive_command: traced.command };
  await using server = await startPostgres({ version, walSegmentSizeMb: 1, settings, env: host.env });
  await createLedger(server);
  await takeBackup(server);
  await fillSegments(server, 2);
  await server.restart('fast', {
    settings: { ...settings, restore_command: 'false' },
    signal: 'recovery',
    env: host.env,
  });
  await untilOpen(server);
  traced.letThrough();
  await fillSegments(server, 2);
  await untilAllArchived(server);

  const pushed = traced.calls().flatMap(({ name, status }) => (status === 0 ? [name] : []));
  expect(pushed[0]).toBe('00000002.history');
  expect(pushed.slice(1)).toEqual(pushed.slice(1).toSorted());
  for (const kind of [/^0000000[12][0-9A-F]{16}$/, /\.[0-9A-F]{8}\.backup$/, /\.partial$/])
    expect(pushed).toContainEqual(expect.stringMatching(kind));
  expect(new Set(objectKeys(site.archives[0]).map((key) => basename(key)))).toEqual(new Set(pushed));
}

/** With 70 empty files; the first call adds one that comes before all others, and takes the last away. */
async function batches(version: Version): Promise<void> {
  const hook = join(makeScratch('hook', serverUser()), 'hook');
  const traced = new TracedArchive('true', `[ ! -e ${hook} ] || . ${hook}`);
  await using server = await start(version, traced.command);
  await server.stop();
  const before = traced.calls().length;
  const name = (number: number): string => `00000001000000010000${number.toString(16).toUpperCase().padStart(4, '0')}`;
  const names = Array.from({ length: BATCH + 6 }, (_, i) => name(i + 1));
  const [early, last = ''] = [name(0), names.at(-1)];
  const ready = (file: string): string => statusFile(server, file, 'ready');
  for (const file of [early, ...names]) writeAsServer(join(server.dataDirectory, 'pg_wal', file), '');
  for (const file of names) writeAsServer(ready(file), '');
  writeAsServer(hook, `rm ${hook} ${ready(last)}\n: > ${ready(early)}\n`);
  await server.start();
  await untilAllArchived(server);
  const called = traced.calls().slice(before);
  const position = version >= BATCHES_SINCE ? BATCH : 1;
  expect(called.map((call) => call.name)).toEqual(names.slice(0, -1).toSpliced(position, 0, early));
}

/** What a command says of itself, a line each. */
const PROBE = `
pwd
echo "$path"
readlink /proc/$$/fd/0
umask
cut -d ' ' -f 4,5,6 /proc/$$/stat
sed -n 's/^SigIgn:[[:space:]]*//p' /proc/$$/status
sed -n 's/^SigIgn:[[:space:]]*//p' /proc/$PPID/status
echo "PGDATA=$PGDATA MARK=$MARK"
tr '\\0' '|' < /proc/$PPID/cmdline
`;

async function surroundings(version: Version): Promise<void> {
  const report = join(makeScratch('probe', serverUser()), 'report');
  const traced = new TracedArchive('echo out; echo err >&2', `{ ${PROBE} } > ${report}`);
  const env = { PGDATA: 'somewhere/else', MARK: 'of the server' };
  await using server = await start(version, traced.command, { env, stdin: 'pipe' });
  const archiver = await archiverPid(server);
  const segment = await switchSegment(server);
  await untilAllArchived(server);

  const [cwd, path, stdin, , process, ignored = '', , environment, shell] = readFileSync(report, 'utf8').split('\n');
  expect({ cwd, path }).toEqual({ cwd: server.dataDirectory, path: `pg_wal/${segment}` });
  // The server's own: pg_ctl gives it /dev/null, and others what they like.
  expect(stdin).toMatch(/^(socket|pipe):/);
  // Its parent is the server's own shell; its group and its session are the archiver's.
  expect(process?.split(' ').slice(1)).toEqual([String(archiver), String(archiver)]);
  expect(shell).toMatch(/^sh\|-c\|sh \S+ /);
  const isIgnored = (signal: number): boolean => ((BigInt(`0x${ignored}`) >> BigInt(signal - 1)) & 1n) === 1n;
  expect([...IGNORED, SIGQUIT].filter(isIgnored)).toEqual(IGNORED);
  expect(environment).toBe('PGDATA=somewhere/else MARK=of the server');
  for (const line of ['out', 'err']) expect(server.log()).toMatch(new RegExp(`^${line}$`, 'm'));
}

async function expectUmask(version: Version, access: '' | 'g', umask: string): Promise<void> {
  const report = join(makeScratch('probe', serverUser()), 'report');
  const traced = new TracedArchive('true', `umask > ${report}`);
  const initdbArgs = access === 'g' ? ['--allow-group-access'] : [];
  await using server = await start(version, traced.command, { initdbArgs });
  await switchSegment(server);
  await untilAllArchived(server);
  expect(readFileSync(report, 'utf8')).toBe(`${umask}\n`);
}

/** Where it is cut, what is left succeeds here, and the server deletes what was never archived. */
async function runLong(version: Version, whole: boolean): Promise<void> {
  const marker = join(makeScratch('long', serverUser()), 'marker');
  await using server = await start(version, `true ${'x'.repeat(1_100)} && touch ${marker}`);
  await switchSegment(server);
  await untilAllArchived(server);
  expect(existsSync(marker)).toBe(whole);
}

async function fastStop(version: Version): Promise<void> {
  const status = join(makeScratch('stop', serverUser()), 'status');
  const traced = new TracedArchive(
    `until [ "$(tail -n 1 postmaster.pid | tr -d ' ')" = stopping ]; do sleep 0.05; done; sleep 0.5; touch ${status}`,
  );
  await using server = await start(version, traced.command);
  const segment = await switchSegment(server);
  await waitFor('the command to run', () => traced.calls().length > 0);
  await server.stop('fast');
  expect(existsSync(status)).toBe(true);
  expect(traced.calls()[0]).toMatchObject({ name: segment, status: 0 });
  expect(existsSync(statusFile(server, segment, 'done'))).toBe(true);
}

async function immediateStop(version: Version): Promise<void> {
  const directory = makeScratch('stop', serverUser());
  const [running, quit] = [join(directory, 'running'), join(directory, 'quit')];
  const traced = new TracedArchive(`trap 'touch ${quit}; kill $!; exit 3' QUIT; touch ${running}; sleep 60 & wait`);
  await using server = await start(version, traced.command);
  await switchSegment(server);
  await waitFor('the command to run', () => existsSync(running));
  await server.stop('immediate');
  await waitFor('the command to be told', () => existsSync(quit));
}

function statusFile(server: PostgresServer, name: string, status: 'ready' | 'done'): string {
  return join(server.dataDirectory, 'pg_wal/archive_status', `${name}.${status}`);
}
