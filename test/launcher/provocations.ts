import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { limited, type Column } from './launch.ts';

export type Engine = 'executable' | 'node';

/** Statuses by column. */
export type Answers = Readonly<Record<Column, number | string>>;

export interface Provocation {
  /** What the first argument tells the faulty program to do. */
  readonly fault?: string;
  readonly engines?: readonly Engine[];
  readonly expected: Answers | Readonly<Record<Engine, Answers>>;
  readonly env?: (cwd: string) => Readonly<Record<string, string>>;
  /** What is done to the directory that the command runs in. */
  readonly plant?: (cwd: string) => void;
  /** Wraps the command: limits, closed descriptors. */
  readonly wrap?: (command: readonly string[]) => readonly string[];
  /** Changes a copy of the engine's directory, which lacks the executable (it is large): `original` has it. */
  readonly damage?: (directory: string, original: string) => void;
  /** A program that the machine must have. */
  readonly needs?: string;
}

const DONE: Answers = { push: 0, strict: 0, standby: 0 };
const BUG: Answers = { push: 70, strict: 200, standby: 70 };
/** Where the launcher can't see standby.signal. */
const BLIND: Answers = { push: 70, strict: 200, standby: 200 };
const SIGTERM: Answers = { push: 'SIGTERM', strict: 'SIGTERM', standby: 'SIGTERM' };

const EVIL = 'evil.cjs';
/** What code that must not run leaves behind. */
export const MARKER = 'planted-code-ran';

const evil = (cwd: string): void => {
  writeFileSync(join(cwd, EVIL), `require('node:fs').writeFileSync(${JSON.stringify(join(cwd, MARKER))}, '');`);
};
const variable = (name: string, value: (cwd: string) => string, plant = evil): Provocation => ({
  expected: DONE,
  env: (cwd) => ({ [name]: value(cwd) }),
  plant,
});
const program = (fault: string, expected: Answers = BUG): Provocation => ({ fault, expected });
const damaged = (damage: (directory: string, original: string) => void): Provocation => ({ damage, expected: BUG });
const replaced = (content: (original: string) => string | Uint8Array, mode = 0o755): Provocation =>
  damaged((directory, original) => {
    rmSync(join(directory, 'walseal'), { force: true });
    writeFileSync(join(directory, 'walseal'), content(join(original, 'walseal')), { mode });
  });
const executable = (provocation: Provocation): Provocation => ({ ...provocation, engines: ['executable'] });
const node = (provocation: Provocation): Provocation => ({ ...provocation, engines: ['node'] });
const mainOf = (directory: string): string => join(directory, '..', 'src', 'main.ts');

/** `limitKb` is for the address space: enough to start. */
function hungry(fault: string, limitKb: number): Provocation {
  return { fault, expected: BUG, wrap: (command) => limited(`ulimit -v ${limitKb}; ulimit -c 0`, command) };
}

/** Everything that has made a runtime or a shell say 0 or 1 on its own, or might. */
export const PROVOCATIONS: Readonly<Record<string, Provocation>> = {
  'none: the work is done': { expected: DONE },
  'done is said, no file is there': program('lie', { push: 0, strict: 200, standby: 70 }),
  'proven absent': program('absent', { push: 70, strict: 1, standby: 1 }),
  'an outcome of another command': program('found-wrong'),

  'a throw at import': program('throw-at-import'),
  'a throw in the work': program('throw'),
  'an uncaught throw': program('throw-later'),
  'an unhandled rejection': program('reject-elsewhere'),
  "an 'error' event that nobody handles": program('error-event'),
  'a rejection with no message at all': program('throw-nothing'),
  'a promise that never settles': program('never'),
  'the same, and a timer that runs': program('never-but-alive'),
  'a library that exits with 0': program('exit-0'),
  'a library that exits with 1': program('exit-1'),
  'a library that exits with 143': program('exit-143', SIGTERM),
  'a crash of the runtime': program('crash'),
  'out of memory': executable(hungry('out-of-memory', 500_000)),
  'out of memory for buffers': executable(hungry('out-of-buffers', 1_000_000)),
  'out of memory, on Node': node(hungry('out-of-memory', 1_300_000)),

  'a stripped executable': {
    ...executable(
      damaged((directory, original) => {
        execFileSync('strip', ['-o', join(directory, 'walseal'), join(original, 'walseal')]);
      }),
    ),
    needs: 'strip',
  },
  'a missing executable': damaged((directory) => {
    rmSync(join(directory, 'walseal'), { force: true });
  }),
  'a directory in its place': damaged((directory) => {
    rmSync(join(directory, 'walseal'), { force: true });
    mkdirSync(join(directory, 'walseal'));
  }),
  'an empty executable': replaced(() => ''),
  'a few bytes of an executable': replaced((original) => readFileSync(original).subarray(0, 100)),
  'half an executable': executable(replaced((original) => readFileSync(original).subarray(0, 50_000_000))),
  'an executable without its end': executable(replaced((original) => readFileSync(original).subarray(0, -2_000_000))),
  'an executable without the run bit': replaced(() => '#!/bin/sh\nexit 222\n', 0o644),
  'an executable for another machine': replaced(() => '\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xb7'),
  'a missing main module': node(
    damaged((directory) => {
      rmSync(mainOf(directory));
    }),
  ),
  'a missing module': node(
    damaged((directory) => {
      rmSync(join(directory, '..', 'src', 'server', 'guard.ts'));
    }),
  ),
  'a syntax error': node(
    damaged((directory) => {
      writeFileSync(mainOf(directory), 'const = 1;');
    }),
  ),
  'a top-level wait that never ends': node(
    damaged((directory) => {
      writeFileSync(
        join(directory, '..', 'src', 'commands', 'program.ts'),
        'await new Promise(() => undefined); export {};',
      );
    }),
  ),
  'no node at all': node({
    expected: BUG,
    wrap: (command) => limited('shell=$(command -v "$1"); shift; set -- "$shell" "$@"; PATH=/nonexistent', command),
  }),

  'BUN_OPTIONS=--version': variable('BUN_OPTIONS', () => '--version'),
  'BUN_OPTIONS=--preload': variable('BUN_OPTIONS', (cwd) => `--preload=${join(cwd, EVIL)}`),
  'BUN_BE_BUN=1': variable('BUN_BE_BUN', () => '1'),
  'BUN_INSPECT, and wait': variable('BUN_INSPECT', () => 'ws://127.0.0.1:0/x?wait=1'),
  BUN_INSPECT_CONNECT_TO: variable('BUN_INSPECT_CONNECT_TO', () => 'ws://127.0.0.1:1/'),
  BUN_INSPECT_NOTIFY: variable('BUN_INSPECT_NOTIFY', () => 'unix:///nonexistent'),
  BUN_INSPECT_PRELOAD: variable('BUN_INSPECT_PRELOAD', (cwd) => join(cwd, EVIL)),
  'NODE_OPTIONS=--require': variable('NODE_OPTIONS', (cwd) => `--require=${join(cwd, EVIL)}`),
  'NODE_OPTIONS=--version': variable('NODE_OPTIONS', () => '--version'),
  'NODE_OPTIONS=--nonsense': variable('NODE_OPTIONS', () => '--nonsense'),
  'BUN_JSC_watchdog=1': variable('BUN_JSC_watchdog', () => '1'),
  'BUN_JSC_nonsense=1': { expected: { executable: BUG, node: DONE }, env: () => ({ BUN_JSC_nonsense: '1' }) },
  'WALSEAL_LAUNCHER=1 from elsewhere': { expected: DONE, env: () => ({ WALSEAL_LAUNCHER: '1' }) },

  'bunfig.toml, .env, packages and more planted': {
    expected: DONE,
    plant: (cwd) => {
      evil(cwd);
      plantEverything(cwd);
    },
  },
  'a deleted directory': {
    expected: BLIND,
    wrap: (command) => limited('rm -rf "$PWD"', command),
  },
  '12 descriptors': {
    expected: { executable: DONE, node: BUG },
    wrap: (command) => limited('ulimit -n 12', command),
  },
  'no stdout': { expected: DONE, fault: 'talkative', wrap: (command) => limited('exec >&-', command) },
  'no stderr': { expected: DONE, fault: 'talkative', wrap: (command) => limited('exec 2>&-', command) },
  'neither, nor stdin': {
    expected: DONE,
    fault: 'talkative',
    wrap: (command) => limited('exec <&- >&- 2>&-', command),
  },
  'nobody reads stdout': { expected: DONE, fault: 'talkative', wrap: unread('>') },
  'nobody reads stderr': { expected: DONE, fault: 'talkative', wrap: unread('2>') },
  'stdout on a full disk': {
    expected: DONE,
    fault: 'talkative',
    wrap: (command) => limited('exec >/dev/full', command),
  },
  'stderr on a full disk': {
    expected: DONE,
    fault: 'talkative',
    wrap: (command) => limited('exec 2>/dev/full', command),
  },
  'no temporary directory': {
    expected: DONE,
    env: () => ({ TMPDIR: '/nonexistent', BUN_TMPDIR: '/nonexistent' }),
  },
};

/** Code and settings in every place where a runtime might look for some. */
function plantEverything(cwd: string): void {
  const run = `require(${JSON.stringify(join(cwd, EVIL))});`;
  writeFileSync(join(cwd, 'bunfig.toml'), `preload = ["./${EVIL}"]\n[run]\npreload = ["./${EVIL}"]\n`);
  writeFileSync(join(cwd, '.env'), `BUN_OPTIONS=--preload=./${EVIL}\nNODE_OPTIONS=--require=./${EVIL}\n`);
  cpSync(join(cwd, '.env'), join(cwd, '.env.production'));
  writeFileSync(join(cwd, 'package.json'), JSON.stringify({ main: EVIL, imports: { '#zstd': `./${EVIL}` } }));
  writeFileSync(join(cwd, 'tsconfig.json'), JSON.stringify({ compilerOptions: { paths: { '*': [`./${EVIL}`] } } }));
  for (const name of ['main.ts', 'program.ts', 'exit.ts', 'index.js']) writeFileSync(join(cwd, name), run);
  for (const name of ['commander', 'zstd-napi', 'valibot', 'fs', 'node:fs']) {
    mkdirSync(join(cwd, 'node_modules', name), { recursive: true });
    writeFileSync(join(cwd, 'node_modules', name, 'index.js'), run);
  }
  for (const name of ['walseal', 'readlink', 'node', 'sh']) {
    writeFileSync(join(cwd, name), `#!/bin/sh\n: > "${join(cwd, MARKER)}"\n`, { mode: 0o755 });
  }
}

/** A pipe whose reader is gone before anything is written to it. */
function unread(redirection: string): (command: readonly string[]) => readonly string[] {
  const open = 'rm -f pipe; mkfifo pipe; exec 3<>pipe; exec 4>pipe; exec 3<&-';
  return (command) => limited(`${open}; exec ${redirection}&4; exec 4>&-`, command);
}
