import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';

import { LAUNCHED_VERBS } from '../../src/exit.ts';
import { launcherText } from '../../src/launcher.ts';
import { CHECKOUT } from '../harness/dist.ts';
import { needProgram } from '../harness/need.ts';
import { makeScratch } from '../harness/scratch.ts';
import { dataDirectory, run, SHELLS } from './launch.ts';

/** Said by the program to the launcher, by what the launcher says: every status that is not here is a bug. */
const PUSH = { 222: 0, ...same(64, 65, 69, 70, 73, 74, 75, 77, 78), 143: 'SIGTERM' };
const STRICT = { 222: 0, 223: 1, ...same(200, 201, 202, 203, 204, 205, 206, 207), 143: 'SIGTERM' };
const STANDBY = { ...STRICT, ...same(64, 65, 69, 70, 75, 77, 78), 200: 70 };
const PROMOTING = { ...STANDBY, 200: 200 };
const NO_FILE_STRICT = { ...STRICT, 222: 200 };
const NO_FILE_STANDBY = { ...STANDBY, 222: 70 };
const PRUNE = { ...PUSH, 223: 1 };

type Said = Readonly<Record<number, number | string>>;

function same(...statuses: number[]): Record<number, number> {
  return Object.fromEntries(statuses.map((status) => [status, status]));
}

interface Case {
  readonly verb: 'wal-push' | 'wal-fetch' | 'wal-prune';
  readonly files: readonly string[];
  readonly args: readonly string[];
  readonly expected: Said;
  readonly otherwise: number;
}

const NAME = '000000010000000000000001';
const PATH = 'pg_wal/RECOVERYXLOG';
const HISTORY = 'pg_wal/RECOVERYHISTORY';
const fetching = (files: string[], expected: Said, otherwise: number, args = [NAME, PATH]): Case => ({
  verb: 'wal-fetch',
  files,
  args,
  expected,
  otherwise,
});
/** Help is no file that was archived. */
const NO_DONE: Said = { ...PUSH, 222: 70 };
const always = (status: number): Said => Object.fromEntries(Array.from({ length: 256 }, (_, said) => [said, status]));

const CASES: Readonly<Record<string, Case>> = {
  'wal-push': { verb: 'wal-push', files: [], args: [PATH], expected: PUSH, otherwise: 70 },
  'wal-push on a standby': { verb: 'wal-push', files: ['standby.signal'], args: [PATH], expected: PUSH, otherwise: 70 },
  'wal-push, help': { verb: 'wal-push', files: [], args: ['--help'], expected: PUSH, otherwise: 70 },
  'wal-push, help and a path': {
    verb: 'wal-push',
    files: [],
    args: ['--help', PATH],
    expected: NO_DONE,
    otherwise: 70,
  },
  'wal-push, a path and version': {
    verb: 'wal-push',
    files: [],
    args: [PATH, '--version'],
    expected: NO_DONE,
    otherwise: 70,
  },
  'wal-prune, help and more': {
    verb: 'wal-prune',
    files: [],
    args: ['-h', 'x'],
    expected: { ...PRUNE, 222: 70 },
    otherwise: 70,
  },
  'wal-prune': { verb: 'wal-prune', files: [], args: ['--apply'], expected: PRUNE, otherwise: 70 },
  'by hand': fetching([PATH], STRICT, 200),
  recovery: fetching([PATH, 'recovery.signal'], STRICT, 200),
  standby: fetching([PATH, 'standby.signal'], STANDBY, 70),
  'both signal files': fetching([PATH, 'standby.signal', 'recovery.signal'], STANDBY, 70),
  'standby that promotes': fetching([PATH, 'standby.signal', 'promote'], PROMOTING, 200),
  'promote alone': fetching([PATH, 'promote'], STRICT, 200),
  'recovery, no file': fetching(['recovery.signal'], NO_FILE_STRICT, 200),
  'standby, no file': fetching(['standby.signal'], NO_FILE_STANDBY, 70),
  'options before the name': fetching([PATH], STRICT, 200, ['--config', 'x', NAME, PATH]),
  help: fetching([], STRICT, 200, ['--help']),
  version: fetching([], STRICT, 200, ['--version']),
  'some other single word': fetching([], NO_FILE_STRICT, 200, ['--halp']),
  'nothing said': fetching([], NO_FILE_STRICT, 200, []),
  'help, and a path': fetching([], NO_FILE_STRICT, 200, [NAME, '--help']),
  'history of a parent, after the recovery': fetching([], always(1), 1, ['00000002.history', HISTORY]),
  'history of a parent, during the recovery': fetching(['recovery.signal'], NO_FILE_STRICT, 200, [
    '00000002.history',
    HISTORY,
  ]),
  'history of a parent, on a standby': fetching(['standby.signal'], NO_FILE_STANDBY, 70, ['00000002.history', HISTORY]),
  'history of a parent, elsewhere': fetching([], NO_FILE_STRICT, 200, ['00000002.history', `/data/${HISTORY}`]),
  'history of the first timeline': fetching(['recovery.signal'], always(1), 1, ['00000001.history', HISTORY]),
  'history of the first timeline, on a standby': fetching(['standby.signal'], always(1), 1, ['00000001.history', '/x']),
  'history of the first timeline, with options': fetching([], always(1), 1, ['--config', 'x', '00000001.history', 'x']),
  'history of the first timeline as an option': fetching([], NO_FILE_STRICT, 200, ['00000001.history', NAME, PATH]),
};

/** A program that says what it is told to; the launcher can't tell. */
const PROGRAM = '#!/bin/sh\nexit "$SAID"\n';
/** Runs the launcher once for each status, and notes what comes out. */
const FOR_EACH = 'for said in $STATUSES; do SAID=$said "$@"; echo "$said $?"; done';
const ALL = Array.from({ length: 256 }, (_, status) => status);
/** The edges, for the shells whose `case` need not be tried with every number again. */
const EDGES = ALL.filter(
  (status) => status < 3 || /^(6[3-9]|7\d|12[4-9]|130|137|14[2-4]|199|20\d|22[0-4]|255)$/.test(String(status)),
);

let launchers = '';
beforeAll(() => {
  launchers = makeScratch('launchers', { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 });
  for (const verb of LAUNCHED_VERBS) cpSync(join(CHECKOUT, 'bin', verb), join(launchers, verb));
  writeFileSync(join(launchers, 'walseal'), PROGRAM);
  chmodSync(join(launchers, 'walseal'), 0o755);
});

test.each(LAUNCHED_VERBS)(
  'bin/%s is what the exit table renders ("node scripts/build.ts --launchers bin" makes it so)',
  (verb) => {
    expect(readFileSync(join(CHECKOUT, 'bin', verb), 'utf8')).toBe(launcherText(verb));
  },
);

test.each(LAUNCHED_VERBS)('the trap of %s stands on the second line', (verb) => {
  expect(launcherText(verb).split('\n')[1]).toMatch(/^trap '.*exit \d+' EXIT$/);
});

describe.each(Object.entries(SHELLS))('with %s', (shellName, shell) => {
  const statuses = shellName === 'dash' ? ALL : EDGES;
  const isMissing = needProgram(shell[0] ?? '');
  test.runIf(!isMissing).each(Object.entries(CASES))(
    'statuses are translated: %s',
    async (_name, { verb, files, args, expected, otherwise }) => {
      const cwd = dataDirectory('push');
      for (const file of files) writeFileSync(join(cwd, file), '');
      const loop = ['dash', '-c', FOR_EACH, 'dash', ...shell, join(launchers, verb), ...args];
      const { stdout } = await run(loop, { cwd, env: { STATUSES: statuses.join(' ') } });
      const said: unknown = Object.fromEntries(
        stdout
          .trim()
          .split('\n')
          .map((line) => line.split(' ').map(Number)),
      );
      const wanted = statuses.map((status) => [status, asStatus(expected[status] ?? otherwise)]);
      expect(said).toEqual(Object.fromEntries(wanted));
      rmSync(cwd, { recursive: true });
    },
  );

  test.runIf(!isMissing)('a death by SIGTERM is passed on as a death by SIGTERM', async () => {
    for (const verb of LAUNCHED_VERBS) {
      const cwd = dataDirectory('standby');
      const { status } = await run([...shell, join(launchers, verb), NAME, PATH], { cwd, env: { SAID: '143' } });
      expect(status).toBe('SIGTERM');
    }
  });

  test.runIf(!isMissing)('where SIGTERM is ignored, a program that said 143 is a bug', async () => {
    const cwd = dataDirectory('push');
    const ignoring = ['dash', '-c', 'trap "" TERM; exec "$@"', 'dash', ...shell];
    const options = { cwd, env: { SAID: '143' } };
    expect((await run([...ignoring, join(launchers, 'wal-push'), PATH], options)).status).toBe(70);
    expect((await run([...ignoring, join(launchers, 'wal-fetch'), NAME, PATH], options)).status).toBe(200);
  });
});

test('a launcher looks beside itself before it follows links', async () => {
  const cwd = dataDirectory('push');
  const linked = join(cwd, 'bin');
  mkdirSync(linked);
  expect(existsSync(join(linked, 'walseal'))).toBe(false);
  const { status } = await run(['dash', '-c', `ln -s ${launchers}/wal-push bin/wal-push; exec bin/wal-push x`], {
    cwd,
    env: { SAID: '73' },
  });
  expect(status).toBe(73);
  writeFileSync(join(linked, 'walseal'), '#!/bin/sh\nexit 74\n', { mode: 0o755 });
  expect((await run([join(linked, 'wal-push'), 'x'], { cwd })).status).toBe(74);
});

/** What a shell reports of a death by SIGTERM. */
function asStatus(expected: number | string): number {
  return expected === 'SIGTERM' ? 143 : Number(expected);
}
