import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { build } from '../../scripts/build.ts';
import { CHECKOUT, digestOf, makeOnce } from '../harness/dist.ts';

const FAULTY = join(import.meta.dirname, 'faulty', 'program.ts');
const COPIED = ['src', 'bin', 'package.json', 'tsconfig.json', 'scripts/build.ts'];

/** Where the launchers of one engine lie. */
export interface Engines {
  readonly executable: string;
  readonly node: string;
}

/** A copy of the checkout whose program goes wrong on demand: everything round it is the product's own. */
export async function faultyTree(): Promise<Engines> {
  const tree = join(CHECKOUT, '.cache', 'faulty-tree');
  const digest = digestOf([...COPIED.map((path) => join(CHECKOUT, path)), FAULTY]);
  await makeOnce(tree, digest, () => {
    rmSync(tree, { recursive: true, force: true });
    copyTree(tree, readFileSync(FAULTY, 'utf8'));
    build(tree, join(tree, 'dist'));
  });
  return { executable: join(tree, 'dist'), node: join(tree, 'bin') };
}

/** Copies the sources and the launchers to `tree`, with `program` in place of the commands. */
export function copyTree(tree: string, program: string): void {
  mkdirSync(tree, { recursive: true });
  for (const path of COPIED) {
    if (existsSync(join(CHECKOUT, path))) cpSync(join(CHECKOUT, path), join(tree, path), { recursive: true });
  }
  chmodSync(tree, 0o755);
  symlinkSync(join(CHECKOUT, 'node_modules'), join(tree, 'node_modules'));
  writeFileSync(
    join(tree, 'src', 'commands', 'program.ts'),
    program.replaceAll('../../../src/commands/', './').replaceAll('../../../src/', '../'),
  );
}
