/** What review forgets: the shape of the sources, checked on their syntax trees. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';

import { filesBelow, nodesBelow, ROOT, sources, type Source } from './harness/sources.ts';

const MAX_LINES = 400;

/** From the top down: a part may import itself and those of later rows, nothing of its own row. */
const LAYERS: readonly (readonly string[])[] = [
  ['main'],
  ['commands'],
  ['agent'],
  ['archive', 'retention', 'server', 'report'],
  ['seal', 'storage'],
  ['settings', 'launcher'],
  ['wal', 'exit'],
];

const ALL = sources('src', 'test', 'scripts');
const SRC = ALL.filter((source) => source.path.startsWith('src/'));

/** `src/wal/lsn.ts` and `src/exit.ts` belong to the parts `wal` and `exit`. */
function partOf(path: string): string {
  return path.split('/')[1]?.replace(/\.ts$/, '') ?? '';
}

function layerOf(part: string): number {
  return LAYERS.findIndex((layer) => layer.includes(part));
}

function read(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

test('there is something to look at', () => {
  expect(SRC.map((source) => source.path)).toContain('src/exit.ts');
  expect(SRC.find((source) => source.path === 'src/settings/load.ts')?.imports).toContain('src/exit.ts');
});

test('every file has its place in the layers', () => {
  expect(SRC.map((source) => source.path).filter((path) => layerOf(partOf(path)) === -1)).toEqual([]);
});

test('imports run downward', () => {
  const upward = SRC.flatMap(({ path, imports }) =>
    imports
      .filter((target) => !target.startsWith('src/') || (partOf(target) !== partOf(path) && isBeside(path, target)))
      .filter((target) => target !== 'package.json')
      .map((target) => `${path} imports ${target}`),
  );
  expect(upward).toEqual([]);
});

function isBeside(from: string, target: string): boolean {
  return layerOf(partOf(target)) <= layerOf(partOf(from));
}

test('only storage/connect.ts knows the backends', () => {
  const knowing = SRC.flatMap(({ path, imports }) =>
    imports
      .filter((target) => backendOf(target) !== undefined)
      .filter((target) => backendOf(path) !== backendOf(target) && path !== 'src/storage/connect.ts')
      .map((target) => `${path} imports ${target}`),
  );
  expect(knowing).toEqual([]);
});

/** What all backends share is none of them. */
function backendOf(path: string): string | undefined {
  return /^src\/storage\/(?!http\/)([^/]+)\//.exec(path)?.[1];
}

test('no file imports itself by a detour', () => {
  expect(cycles(ALL)).toEqual([]);
});

function cycles(all: readonly Source[]): string[] {
  const byPath = new Map(all.map((source) => [source.path, source]));
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    if (trail.includes(path)) found.push([...trail.slice(trail.indexOf(path)), path].join(' -> '));
    if (done.has(path) || trail.includes(path)) return;
    for (const target of byPath.get(path)?.imports ?? []) visit(target, [...trail, path]);
    done.add(path);
  };
  for (const { path } of all) visit(path, []);
  return found;
}

test(`no file is longer than ${MAX_LINES} lines`, () => {
  const lengths = ['src', 'test', 'scripts', 'bin']
    .flatMap(filesBelow)
    .map((path) => [path, read(path).split('\n').length - 1]);
  expect(lengths.filter(([, lines]) => Number(lines) > MAX_LINES)).toEqual([]);
});

test('only src/main.ts ends the process', () => {
  const others = SRC.filter(({ path }) => path !== 'src/main.ts');
  expect(others.filter(({ tree }) => [...nodesBelow(tree)].some(isExit)).map(({ path }) => path)).toEqual([]);
});

function isExit(node: ts.Node): boolean {
  if (!ts.isPropertyAccessExpression(node) || !ts.isIdentifier(node.expression)) return false;
  return node.expression.text === 'process' && ['exit', 'abort', 'reallyExit'].includes(node.name.text);
}

test('nothing is awaited at the top level: an executable would spin for ever', () => {
  const awaits = (node: ts.Node): boolean =>
    ts.isAwaitExpression(node) || (ts.isForOfStatement(node) && node.awaitModifier !== undefined);
  const guilty = SRC.filter(({ tree }) => [...nodesBelow(tree, ts.isFunctionLike)].some(awaits));
  expect(guilty.map(({ path }) => path)).toEqual([]);
});

test('no file only passes on what others export', () => {
  const isPassedOn = (statement: ts.Statement): boolean =>
    ts.isImportDeclaration(statement) || (ts.isExportDeclaration(statement) && statement.moduleSpecifier !== undefined);
  const barrels = ALL.filter(({ tree }) => tree.statements.length > 0 && tree.statements.every(isPassedOn));
  expect(barrels.map(({ path }) => path)).toEqual([]);
  expect(ALL.map(({ path }) => path).filter((path) => path.endsWith('/index.ts'))).toEqual([]);
});

/** Put together here, so that this file does not find itself. */
const LEFTOVERS = ['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'];
const WAYS_ROUND = [
  'eslint-dis' + 'able',
  '@ts-' + 'ignore',
  '@ts-expect-' + 'error',
  '@ts-no' + 'check',
  'prettier-' + 'ignore',
];

test('nothing is left for later, and no check is switched off', () => {
  const pattern = new RegExp(`\\b(${LEFTOVERS.join('|')})\\b|${WAYS_ROUND.join('|')}`);
  const found = ['src', 'test', 'scripts', 'bin', 'docs']
    .flatMap(filesBelow)
    .flatMap((path) =>
      read(path)
        .split('\n')
        .map((line, index) => ({ at: `${path}:${index + 1}`, line })),
    )
    .filter(({ line }) => pattern.test(line));
  expect(found).toEqual([]);
});

test('no test is kept from running, or runs alone', () => {
  const marks = ALL.flatMap(({ path, tree }) =>
    [...nodesBelow(tree)]
      .filter((node) => ts.isPropertyAccessExpression(node) && ts.isIdentifier(node.expression))
      .map((node) => node.getText(tree))
      .filter((text) => /^(test|it|describe)\.(only|skip|todo|fails)$/.test(text))
      .map((text) => `${path}: ${text}`),
  );
  expect(marks).toEqual([]);
});

test('a test of the fast tier that stands in for a module begins with none loaded, as files share what they load', () => {
  const isFast = ({ path }: Source): boolean => /^test\/(?!.*\.(server|long)\.test\.ts$).*\.test\.ts$/.test(path);
  const says = ({ tree }: Source, call: string): boolean =>
    [...nodesBelow(tree)].some((node) => ts.isPropertyAccessExpression(node) && node.getText(tree) === call);
  const guilty = ALL.filter((source) => isFast(source) && says(source, 'vi.mock') && !says(source, 'vi.resetModules'));
  expect(guilty.map(({ path }) => path)).toEqual([]);
});

test('packages are named by their exact version, and the lock by no address', () => {
  const manifest = JSON.parse(read('package.json')) as Record<
    'dependencies' | 'devDependencies',
    Record<string, string>
  >;
  const versions = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });
  expect(versions.filter(([, version]) => !/^(npm:.+@)?\d+\.\d+\.\d+[\w.-]*$/.test(version))).toEqual([]);
  const lock = read('package-lock.json');
  expect(lock).not.toContain('"resolved"');
  expect(lock.match(/https?:\/\/\S*(registry|npmjs|tgz)\S*/g)).toBeNull();
});
