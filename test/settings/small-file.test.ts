import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';

import { loadOpenKeys, loadPushKeys } from '../../src/archive/keyring.ts';
import { Failure } from '../../src/exit.ts';
import { loadSettings } from '../../src/settings/load.ts';
import { readSmallFile } from '../../src/settings/small-file.ts';
import { LEAST, load } from './write.ts';

let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'walseal-small-'));
  onTestFinished(() => {
    rmSync(directory, { recursive: true });
  });
  path = join(directory, 'file');
});

test.each([0, 1, 70_000, 1024 * 1024])('a file of %i bytes is read whole', async (size) => {
  writeFileSync(path, Buffer.alloc(size, 'x'));
  expect((await readSmallFile(path, 'file')).equals(Buffer.alloc(size, 'x'))).toBe(true);
});

test('a larger one is refused', async () => {
  writeFileSync(path, Buffer.alloc(1024 * 1024 + 1));
  const { kind, message, hint } = await failureOf(readSmallFile(path, `file ${path}`));
  expect([kind, message]).toEqual(['usage', `cannot read the file ${path}: it is larger than 1 MiB`]);
  expect(hint).not.toBe('');
});

describe('what is no file, and may never end', () => {
  const unfit: [string, () => string, string][] = [
    ['a device', () => '/dev/zero', 'it is no regular file'],
    ['a directory', () => directory, 'it is a directory'],
    ['a pipe without a writer', pipe, 'it is no regular file'],
    ['nothing', () => join(directory, 'nowhere'), 'ENOENT'],
  ];

  test.each(unfit)('is refused as settings: %s', async (_, make, reason) => {
    const named = make();
    const { kind, message, hint } = await failureOf(loadSettings(named, {}));
    expect([kind, message]).toEqual(['usage', `cannot read the settings file ${named} (named by --config): ${reason}`]);
    expect(hint).not.toBe('');
  });

  test.each(unfit)('is refused as a key: %s', async (_, make, reason) => {
    const named = make();
    const expected = { kind: 'usage', message: `cannot read the key file ${named}: ${reason}` };
    const signing = await load(`${LEAST}[signing]\nkey_file = "${named}"\n`);
    await expect(loadPushKeys(signing)).rejects.toMatchObject(expected);
    const trusting = await load(`${LEAST}[signing]\ntrusted = ["${named}"]\n`);
    await expect(loadOpenKeys(trusting)).rejects.toMatchObject(expected);
    const archive = '[[archive]]\nurl = "file:///archive"\n';
    const opening = await load(`${archive}[encryption]\nrecipients = ["age1q"]\nidentity_file = "${named}"\n`);
    await expect(loadOpenKeys(opening)).rejects.toMatchObject(expected);
  });
});

async function failureOf(work: Promise<unknown>): Promise<Failure> {
  const error = await work.catch((thrown: unknown) => thrown);
  if (!(error instanceof Failure)) throw new Error('expected a Failure');
  return error;
}

function pipe(): string {
  execFileSync('mkfifo', [path]);
  return path;
}
