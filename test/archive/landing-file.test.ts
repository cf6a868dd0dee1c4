import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, onTestFinished, test } from 'vitest';

import { Failure } from '../../src/exit.ts';
import { LandingFile } from '../../src/server/landing-file.ts';

function place(): string {
  const directory = mkdtempSync(join(tmpdir(), 'walseal-landing-'));
  onTestFinished(() => {
    rmSync(directory, { recursive: true });
  });
  return directory;
}

const always = (): boolean => true;

test('nothing is written before the first byte, and nothing is left of what is discarded', () => {
  const directory = place();
  const landing = new LandingFile(join(directory, 'RECOVERYXLOG'));
  landing.discard();
  expect(readdirSync(directory)).toEqual([]);
  landing.restart();
  landing.write(Buffer.from('some bytes'));
  expect(readdirSync(directory)).toEqual([`xlogtemp.walseal.${process.pid}`]);
  landing.discard();
  landing.discard();
  expect(readdirSync(directory)).toEqual([]);
});

test('a new beginning forgets what was written, however long it was', () => {
  const directory = place();
  const path = join(directory, 'RECOVERYXLOG');
  const landing = new LandingFile(path);
  landing.restart();
  landing.write(Buffer.alloc(100_000, 'x'));
  landing.restart();
  landing.write(Buffer.from('the '));
  landing.write(Buffer.from('file'));
  landing.commit(always);
  expect(readFileSync(path, 'utf8')).toBe('the file');
  expect(readdirSync(directory)).toEqual(['RECOVERYXLOG']);
});

test('what was committed is not discarded afterwards', () => {
  const directory = place();
  const landing = new LandingFile(join(directory, 'RECOVERYXLOG'));
  landing.restart();
  landing.commit(always);
  landing.discard();
  expect(readdirSync(directory)).toEqual(['RECOVERYXLOG']);
});

test('a rename that fails leaves nothing behind', () => {
  const directory = place();
  mkdirSync(join(directory, 'RECOVERYXLOG'));
  const landing = new LandingFile(join(directory, 'RECOVERYXLOG'));
  landing.restart();
  landing.write(Buffer.from('bytes'));
  expect(() => {
    landing.commit(always);
  }).toThrow(Failure);
  landing.discard();
  expect(readdirSync(directory)).toEqual(['RECOVERYXLOG']);
});

test('nobody is asked too early: only at the last moment, and a no leaves nothing behind', () => {
  const directory = place();
  const landing = new LandingFile(join(directory, 'RECOVERYXLOG'));
  landing.restart();
  landing.write(Buffer.from('bytes'));
  expect(() => {
    landing.commit(() => {
      expect(readdirSync(directory)).toHaveLength(1);
      return false;
    });
  }).toThrow(/nobody waits/);
  expect(readdirSync(directory)).toEqual([]);
});

test('an empty path is refused before anything is touched', () => {
  expect(failureOf(() => new LandingFile('')).kind).toBe('usage');
});

test.each([
  ['a directory has the name', 'directory', 'EISDIR', 'is a directory'],
  ['a file stands in the way', 'file/x', 'ENOTDIR', 'is a file'],
  ['the directory is missing', 'nowhere/x', 'ENOENT', 'does not exist'],
])('where %s, the failure says what to do', (_, path, code, hint) => {
  const root = place();
  writeFileSync(join(root, 'file'), '');
  mkdirSync(join(root, 'directory'));
  const landing = new LandingFile(join(root, path));
  const failure = failureOf(() => {
    landing.restart();
    landing.commit(always);
  });
  landing.discard();
  expect(failure.kind).toBe('unwritable');
  expect(failure.message).toContain(code);
  expect(failure.hint).toContain(hint);
  expect(readdirSync(root).sort()).toEqual(['directory', 'file']);
});

function failureOf(work: () => unknown): Failure {
  try {
    work();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error('expected a Failure');
}
