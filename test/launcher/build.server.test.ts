import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { build } from '../../scripts/build.ts';
import { builtDist, CHECKOUT } from '../harness/dist.ts';
import { makeScratch } from '../harness/scratch.ts';
import { dataDirectory, run } from './launch.ts';
import { copyTree } from './tree.ts';

test('dist/ holds the executable and its launchers, which are those of bin/, and nothing else', async () => {
  const dist = await builtDist();
  expect(readdirSync(dist).toSorted()).toEqual(['wal-fetch', 'wal-prune', 'wal-push', 'walseal']);
  for (const name of readdirSync(dist)) expect(statSync(join(dist, name)).mode & 0o777).toBe(0o755);
  for (const verb of ['wal-fetch', 'wal-prune', 'wal-push']) {
    expect(readFileSync(join(dist, verb), 'utf8')).toBe(readFileSync(join(CHECKOUT, 'bin', verb), 'utf8'));
  }
});

test('the executable and the sources name the version of the package', async () => {
  const dist = await builtDist();
  const version = /"version": "(.*)"/.exec(readFileSync(join(CHECKOUT, 'package.json'), 'utf8'))?.[1];
  expect(version).toMatch(/^\d+\.\d+\.\d+/);
  for (const command of [
    join(dist, 'walseal'),
    join(CHECKOUT, 'bin', 'walseal'),
    join(dist, 'wal-push'),
    join(dist, 'wal-fetch'),
  ]) {
    expect(await run([command, '--version'], { cwd: dataDirectory('strict') })).toEqual({
      status: 0,
      stdout: `${version}\n`,
      stderr: '',
    });
  }
});

test('the executable is the same wherever and whenever it is built, and tells nothing of where that was', () => {
  const [first, second] = ['first', 'second'].map((name) => {
    const tree = makeScratch(name, { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 });
    copyTree(tree, 'export async function run() { return "done"; }');
    build(tree, join(tree, 'out'));
    const bytes = readFileSync(join(tree, 'out', 'walseal'));
    expect(bytes.includes(tree)).toBe(false);
    return createHash('sha256').update(bytes).digest('hex');
  });
  expect(first).toBe(second);
});

const REFUSED: Readonly<Record<string, readonly [program: string, why: RegExp]>> = {
  'a top-level wait, which would spin for ever': ['await new Promise(() => undefined);', /await/],
  'an import that is known only at run time: the data directory could answer it': [
    'export const run = (name) => import(name);',
    /resolve|dynamic/,
  ],
  'an import that does not exist': ['import "no-such-package";', /no-such-package/],
  'the native addon': ['import "zstd-napi";', /zstd-napi/],
  'a file of native code': [
    'import addon from "../../node_modules/zstd-napi/build/Release/binding.node"; export const run = () => addon;',
    /do not belong into the executable: .*binding\.node/,
  ],
};

test.each(Object.entries(REFUSED))('the build refuses %s', (_, [program, why]) => {
  const tree = makeScratch('refused', { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 });
  copyTree(tree, program);
  expect(() => {
    build(tree, join(tree, 'out'));
  }).toThrow(why);
  expect(readdirSync(join(tree, 'out'))).toEqual([]);
});
