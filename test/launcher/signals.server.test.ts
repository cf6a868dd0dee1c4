import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';

import { needProgram } from '../harness/need.ts';
import { waitFor } from '../harness/wait.ts';
import { COLUMNS, commandFor, dataDirectory, PROOF, SHELLS, start, type Column, type Running } from './launch.ts';
import { faultyTree, type Engines } from './tree.ts';

/**
 * Signals reach the server's commands in every way that a stop, a crash or an administrator finds: the whole group,
 * the launcher alone, the program alone, the server's process alone. The program is at work, with a temporary file.
 */
let engines: Engines;
beforeAll(async () => {
  engines = await faultyTree();
}, 60_000);

const CRASHED = { push: 70, strict: 200, standby: 70 } as const;

/** Each engine with each shell would take long and show nothing new: the shells matter, and the engines. */
const COMBINATIONS = [
  ...Object.keys(SHELLS).map((shell) => ({ engine: 'executable', shell }) as const),
  { engine: 'node', shell: 'dash' } as const,
];

describe.each(COMBINATIONS)('$engine with $shell', ({ engine, shell: shellName }) => {
  const shell = SHELLS[shellName] ?? [];
  const isMissing = needProgram(shell[0] ?? '');
  const begin = (column: Column): Promise<AtWork> => atWork(shell, engines[engine], column);

  test.runIf(!isMissing).each(COLUMNS)('SIGTERM to the group: both die by it (%s)', async (column) => {
    const work = await begin(column);
    process.kill(-work.launcher, 'SIGTERM');
    expect((await work.running.ended).status).toBe('SIGTERM');
    await gone(work.program);
    expect(existsSync(work.final)).toBe(false);
  });

  test.runIf(!isMissing).each(COLUMNS)(
    'SIGTERM to the program alone: the launcher dies by it too (%s)',
    async (column) => {
      const work = await begin(column);
      process.kill(work.program, 'SIGTERM');
      expect((await work.running.ended).status).toBe('SIGTERM');
      expect(existsSync(work.final)).toBe(false);
    },
  );

  test.runIf(!isMissing).each(COLUMNS)('SIGKILL of the program is a bug like any other (%s)', async (column) => {
    const work = await begin(column);
    process.kill(work.program, 'SIGKILL');
    expect((await work.running.ended).status).toBe(CRASHED[column]);
  });

  test.runIf(!isMissing)('SIGQUIT to the group ends the program at once: an immediate stop', async () => {
    const work = await begin('push');
    process.kill(-work.launcher, 'SIGQUIT');
    await work.running.ended;
    await gone(work.program);
    expect(existsSync(work.final)).toBe(false);
  });

  test.runIf(!isMissing).each(['SIGTERM', 'SIGKILL'] as const)(
    '%s to the launcher alone: the orphan gives up, and leaves nothing',
    async (signal) => {
      const work = await begin('strict');
      process.kill(work.launcher, signal);
      await gone(work.program);
      expect((await work.running.ended).status).toBe(signal);
      expect(readdirSync(join(work.cwd, 'pg_wal'))).toEqual([]);
    },
  );

  test.runIf(!isMissing)(
    "the end of the server's process alone: the program gives up, and the launcher says so",
    async () => {
      const cwd = dataDirectory('strict');
      const command = commandFor(shell, engines[engine], 'strict', 'slow');
      const server = [
        'dash',
        '-c',
        '"$@" & echo "$!" > launcher; wait "$!"',
        'dash',
        'dash',
        '-c',
        '"$@"; echo "$?" > said',
        'dash',
        ...command,
      ];
      const running = start(server, { cwd });
      const program = await programOf(running, cwd);
      running.child.kill('SIGKILL');
      await gone(program);
      // The file is there before its line is.
      const said = join(cwd, 'said');
      await waitFor('the status of the launcher', () => existsSync(said) && readFileSync(said, 'utf8').endsWith('\n'));
      expect(readFileSync(said, 'utf8')).toBe('200\n');
      expect(readdirSync(join(cwd, 'pg_wal'))).toEqual([]);
    },
  );
});

test.each(['executable', 'node'] as const)(
  'an orphan that is too busy for its clock looks again before the end (%s)',
  async (engine) => {
    const cwd = dataDirectory('strict');
    const running = start(commandFor(['dash'], engines[engine], 'strict', 'busy'), { cwd });
    await waitFor('the program at work', () => running.stderr().includes('ready'), undefined, running.stderr);
    running.child.kill('SIGKILL');
    const { stderr } = await running.ended;
    expect(stderr).toContain('nobody waits');
    expect(readdirSync(join(cwd, 'pg_wal'))).toEqual([]);
  },
);

test('undisturbed, the same program does its work', async () => {
  const work = await atWork(['dash'], engines.executable, 'strict');
  expect((await work.running.ended).status).toBe(0);
  expect(readdirSync(join(work.cwd, 'pg_wal'))).toEqual(['RECOVERYXLOG']);
});

interface AtWork {
  readonly running: Running;
  readonly cwd: string;
  readonly launcher: number;
  readonly program: number;
  /** Where the result would be. */
  readonly final: string;
}

async function atWork(shell: readonly string[], directory: string, column: Column): Promise<AtWork> {
  const cwd = dataDirectory(column);
  const running = start(commandFor(shell, directory, column, 'slow'), { cwd });
  const program = await programOf(running, cwd);
  const launcher = running.child.pid;
  if (launcher === undefined) throw new Error('the launcher did not start');
  return { running, cwd, launcher, program, final: join(cwd, PROOF) };
}

/** The program says that it is ready once its temporary file is there. */
async function programOf(running: Running, cwd: string): Promise<number> {
  const ready = (): string | undefined => /ready (\d+)/.exec(running.stderr())?.[1];
  await waitFor('the program at work', () => ready() !== undefined, undefined, running.stderr);
  expect(readdirSync(join(cwd, 'pg_wal'))).toEqual(['RECOVERYXLOG.temporary']);
  return Number(ready());
}

/** An orphan that was adopted and not looked at yet is a zombie. */
async function gone(pid: number): Promise<void> {
  await waitFor(`the end of process ${pid}`, () => {
    try {
      return /\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    } catch {
      return true;
    }
  });
}
