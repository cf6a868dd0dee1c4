import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { afterEach, describe, expect, test } from 'vitest';

import { bunOf } from '../../scripts/build.ts';
import { ParentGuard } from '../../src/server/guard.ts';
import { isRunning, waitFor } from '../harness/wait.ts';

const ROOT = join(import.meta.dirname, '../..');
const ANSWER_LIMIT_MS = 4_000;
const PROGRAM = join(import.meta.dirname, 'guarded.ts');
const RUNTIMES = [
  ['node', process.execPath],
  ['bun', bunOf(ROOT)],
] as const;

/** As the launchers do it: the program in the foreground, told who its parent is. */
const LAUNCHER = 'echo "launcher $$"; WALSEAL_LAUNCHER=$$ "$RUNTIME" "$PROGRAM"; exit $?';
/** As the server does it: a leader of its session, and a launcher below. It lives on when that ends. */
const UNDER_LEADER = 'echo "leader $$"; sh -c "$LAUNCHER"; exec sleep 60';
/** As a tool that daemonises does it: the leader of the session ends before the launcher starts. */
const DAEMONISED = `
  sh -c 'echo "between $$"; while [ -e "/proc/$LEADER" ]; do sleep 0.02; done; sh -c "$LAUNCHER"; exec sleep 60' &
  exit 0`;

class Chain {
  readonly #lines: string[] = [];
  readonly #pids = new Map<string, number>();

  constructor(script: string, runtime: string, shell = '/bin/sh') {
    const child = spawn(shell, ['-c', `LEADER=$$; export LEADER; ${script}`], {
      detached: true,
      env: { ...process.env, RUNTIME: runtime, PROGRAM, LAUNCHER },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => this.#lines.push(text));
    createInterface({ input: child.stdout }).on('line', (line) => {
      this.#lines.push(line);
      const [, who, pid] = /^(\w+) (\d+)$/.exec(line) ?? [];
      if (who !== undefined) this.#pids.set(who, Number(pid));
    });
  }

  async kill(who: string): Promise<void> {
    const pid = this.#pidOf(who);
    process.kill(pid, 'SIGKILL');
    await waitFor(`end of ${who}`, () => !isRunning(pid));
  }

  /** The program's first answer, then one to each later question. */
  async answer(): Promise<string | undefined> {
    const answers = (): string[] => this.#lines.filter((line) => line === 'true' || line === 'false');
    const before = answers().length;
    if (before > 0) process.kill(this.#pidOf('program'), 'SIGUSR2');
    await waitFor(
      'an answer',
      () => answers().length > before,
      ANSWER_LIMIT_MS,
      () => this.#lines.join('\n'),
    );
    return answers().at(-1);
  }

  end(): void {
    for (const pid of this.#pids.values()) if (isRunning(pid)) process.kill(pid, 'SIGKILL');
  }

  #pidOf(who: string): number {
    const pid = this.#pids.get(who);
    if (pid === undefined) throw new Error(`${who} has not said its pid`);
    return pid;
  }
}

let chain: Chain | undefined;
afterEach(() => {
  chain?.end();
  chain = undefined;
});

describe.each(RUNTIMES)('under %s', (_, runtime) => {
  test('a program is wanted while its launcher and the leader of its session live', async () => {
    chain = new Chain(UNDER_LEADER, runtime);
    expect(await chain.answer()).toBe('true');
    expect(await chain.answer()).toBe('true');
  });

  test('a program whose launcher is gone is an orphan', async () => {
    chain = new Chain(UNDER_LEADER, runtime);
    expect(await chain.answer()).toBe('true');
    await chain.kill('launcher');
    expect(await chain.answer()).toBe('false');
  });

  test('a program whose server process is gone is an orphan', async () => {
    chain = new Chain(UNDER_LEADER, runtime);
    expect(await chain.answer()).toBe('true');
    await chain.kill('leader');
    expect(await chain.answer()).toBe('false');
  });

  test('where the leader was gone before, the parent of the launcher stands in for it', async () => {
    chain = new Chain(DAEMONISED, runtime);
    expect(await chain.answer()).toBe('true');
    await chain.kill('between');
    expect(await chain.answer()).toBe('false');
  });
});

test('a leader with a strange name is seen all the same', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'walseal-unit-'));
  try {
    const shell = join(directory, 'a) S 1 (b');
    symlinkSync('/bin/sh', shell);
    chain = new Chain(UNDER_LEADER, process.execPath, shell);
    expect(await chain.answer()).toBe('true');
    await chain.kill('leader');
    expect(await chain.answer()).toBe('false');
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('a program that no launcher started is always wanted', () => {
  expect(new ParentGuard(undefined).stillWanted()).toBe(true);
});

test('a program whose launcher is not its parent is not wanted', () => {
  expect(new ParentGuard(process.pid).stillWanted()).toBe(false);
  expect(new ParentGuard(process.ppid).stillWanted()).toBe(true);
});
