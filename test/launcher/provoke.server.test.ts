import { cpSync, existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { LAUNCHED_VERBS } from '../../src/exit.ts';
import { needProgram } from '../harness/need.ts';
import { makeScratch } from '../harness/scratch.ts';
import { COLUMNS, commandFor, dataDirectory, PROOF, run, SHELLS, type Column } from './launch.ts';
import { MARKER, PROVOCATIONS, type Engine, type Provocation } from './provocations.ts';
import { faultyTree, type Engines } from './tree.ts';

const ENGINES: readonly Engine[] = ['executable', 'node'];
/** A start of Node takes twenty times as long; what differs between shells does not differ between engines. */
const SHELLS_OF: Readonly<Record<Engine, readonly string[]>> = {
  executable: ['dash', 'busybox', 'bash --posix', 'bash'],
  node: ['dash'],
};

const matrix: string[] = [];
let engines: Engines;
beforeAll(async () => {
  engines = await faultyTree();
}, 60_000);
afterAll(() => {
  console.log(matrix.toSorted().join('\n'));
});

describe.each(ENGINES)('%s', (engine) => {
  const provocations = Object.entries(PROVOCATIONS).filter(([, { engines: only }]) => only?.includes(engine) ?? true);
  describe.each(SHELLS_OF[engine])('with %s', (shellName) => {
    const shell = SHELLS[shellName] ?? [];
    const isMissing = needProgram(shell[0] ?? '');
    test.runIf(!isMissing).each(provocations)('%s', { timeout: 60_000 }, async (name, provocation) => {
      if (provocation.needs !== undefined && needProgram(provocation.needs)) return;
      const directory = place(engine, provocation);
      const said = await Promise.all(COLUMNS.map((column) => provoke(directory, shell, column, provocation)));
      matrix.push(`| ${name} | ${engine} | ${shellName} | ${said.join(' | ')} |`);
      const { expected } = provocation;
      const wanted = 'push' in expected ? expected : expected[engine];
      // That a 0 was earned is checked where it was said.
      expect(said).toEqual(COLUMNS.map((column) => wanted[column]));
      if (directory !== engines[engine]) rmSync(dirname(directory), { recursive: true });
    });
  });
});

/** Runs it once, and checks what must hold whatever happens; returns the status. */
async function provoke(
  directory: string,
  shell: readonly string[],
  column: Column,
  provocation: Provocation,
): Promise<number | string> {
  const cwd = dataDirectory(column);
  provocation.plant?.(cwd);
  const plain = commandFor(shell, directory, column, provocation.fault ?? 'done');
  const env = provocation.env?.(cwd) ?? {};
  const { status, stderr } = await run(provocation.wrap?.(plain) ?? plain, { cwd, env });
  const isDone = existsSync(join(cwd, PROOF));
  const what = `${plain.join(' ')} (${column}) ended with ${status}\n${stderr}`;
  expect(existsSync(join(cwd, MARKER)), what).toBe(false);
  if (status !== 'SIGTERM') {
    expect(status, what).toBeTypeOf('number');
    if (column === 'push') expect(status, what).toBeLessThanOrEqual(125);
    if (status === 0 && provocation.fault !== 'lie') expect(isDone, what).toBe(true);
    if (column === 'strict' && status === 1) expect(provocation.fault, what).toBe('absent');
    if (column === 'strict' && status !== 0 && status !== 1) expect(status, what).toBeGreaterThan(125);
  }
  rmSync(cwd, { recursive: true, force: true });
  return status;
}

/** The engine's own directory, or a copy that may be damaged. */
function place(engine: Engine, { damage }: Provocation): string {
  const original = engines[engine];
  if (damage === undefined) return original;
  const copy = makeScratch('damaged', { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 });
  const directory = join(copy, basename(original));
  mkdirSync(directory);
  for (const verb of LAUNCHED_VERBS) cpSync(join(original, verb), join(directory, verb));
  if (engine === 'node') {
    cpSync(join(original, 'walseal'), join(directory, 'walseal'));
    for (const name of ['src', 'package.json'])
      cpSync(join(original, '..', name), join(copy, name), { recursive: true });
    symlinkSync(join(original, '..', 'node_modules'), join(copy, 'node_modules'));
  }
  damage(directory, original);
  return directory;
}
