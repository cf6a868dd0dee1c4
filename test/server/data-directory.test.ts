import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { Failure } from '../../src/exit.ts';
import { locateDataDirectory, readControlFile, readHistories } from '../../src/server/data-directory.ts';
import { postmasterIsStopping } from '../../src/server/postmaster.ts';
import { failureColumn } from '../../src/server/signals.ts';

const CONTROL = readFileSync(join(import.meta.dirname, '../fixtures/wal/17-16mb/pg_control'));

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'walseal-unit-'));
  mkdirSync(join(directory, 'global'));
  mkdirSync(join(directory, 'pg_wal'));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

const write = (path: string, content: string | Uint8Array = ''): void => {
  writeFileSync(join(directory, path), content);
};

describe('the data directory', () => {
  test.each<[string, { pgdata?: string; walPath: string }, string]>([
    ['the server: the current directory', { walPath: 'pg_wal/RECOVERYXLOG' }, '/data'],
    ['pg_rewind: the parent of pg_wal', { walPath: '/other/pg_wal/00000002.history' }, '/other'],
    ['by hand, to some place: the current directory', { walPath: '/tmp/000000010000000000000001' }, '/data'],
    ['a deeper pg_wal is none', { walPath: '/other/pg_wal/archive_status/00000002.history' }, '/data'],
    ['as named, before all else', { pgdata: '/named', walPath: '/other/pg_wal/00000002.history' }, '/named'],
    ['as named, from here', { pgdata: '../named', walPath: 'x' }, '/named'],
  ])('%s', (_, options, expected) => {
    expect(locateDataDirectory(options, '/data')).toBe(expected);
  });
});

describe('pg_control', () => {
  test('is read', async () => {
    write('global/pg_control', CONTROL);
    expect((await readControlFile(directory)).version).toBe(1700);
  });

  test('is read again where it was torn', async () => {
    const torn = Buffer.from(CONTROL);
    torn.fill(0xff, 100, 200);
    write('global/pg_control', torn);
    const reading = readControlFile(directory);
    setImmediate(() => {
      write('global/pg_control', CONTROL);
    });
    expect((await reading).version).toBe(1700);
  });

  test('that stays broken, or is missing, is a wrong configuration', async () => {
    expect(await failureOf(readControlFile(directory))).toMatchObject({ kind: 'usage' });
    write('global/pg_control', CONTROL.subarray(0, 100));
    const broken = await failureOf(readControlFile(directory));
    expect(broken.kind).toBe('usage');
    expect(broken.message).toContain('only 100 bytes');
  });
});

async function failureOf(work: Promise<unknown>): Promise<Failure> {
  const error = await work.catch((thrown: unknown) => thrown);
  if (!(error instanceof Failure)) throw new Error('expected a Failure');
  return error;
}

describe('histories in pg_wal', () => {
  test('are read by name; other files, and one that can not be read as a history, say nothing', async () => {
    write('pg_wal/00000003.history', '1\t0/3000000\ta\n2\t0/4000000\tb\n');
    write('pg_wal/00000002.history', '1\t0/3000000\ta\n');
    write('pg_wal/00000004.history', 'garbage');
    write('pg_wal/RECOVERYHISTORY', '1\t0/1000000\ta\n');
    write('pg_wal/000000010000000000000001', 'x');
    const histories = await readHistories(directory);
    expect(histories.map((history) => [history.name, history.entries.length])).toEqual([
      ['00000002.history', 1],
      ['00000003.history', 2],
    ]);
  });

  test('say nothing where they are no file that can be read, and stop nothing', async () => {
    write('pg_wal/00000002.history', '1\t0/3000000\ta\n');
    mkdirSync(join(directory, 'pg_wal/00000003.history'));
    symlinkSync('00000004.history', join(directory, 'pg_wal/00000004.history'));
    symlinkSync('nowhere', join(directory, 'pg_wal/00000005.history'));
    write('pg_wal/00000006.history', '1\t0/3000000\ta\n');
    chmodSync(join(directory, 'pg_wal/00000006.history'), 0);
    const mayReadAll = process.getuid?.() === 0;
    expect((await readHistories(directory)).map(({ name }) => name)).toEqual(
      mayReadAll ? ['00000002.history', '00000006.history'] : ['00000002.history'],
    );
  });

  test('that a disk does not give are no histories that say nothing', async () => {
    // Reading this file of the kernel at its start is an input/output error.
    symlinkSync('/proc/self/mem', join(directory, 'pg_wal/00000002.history'));
    expect(await failureOf(readHistories(directory))).toMatchObject({ kind: 'unwritable' });
  });

  test('are none without pg_wal', async () => {
    expect(await readHistories(join(directory, 'nowhere'))).toEqual([]);
  });
});

describe('the column of a failure', () => {
  test.each<[string[], 'stop' | 'promote', 'strict' | 'standby']>([
    [[], 'stop', 'strict'],
    [['recovery.signal'], 'stop', 'strict'],
    [['standby.signal'], 'stop', 'standby'],
    [['standby.signal', 'recovery.signal'], 'stop', 'standby'],
    [['standby.signal', 'promote'], 'stop', 'strict'],
    [['standby.signal', 'promote'], 'promote', 'standby'],
    [['recovery.signal', 'promote'], 'promote', 'strict'],
    [['promote'], 'promote', 'strict'],
  ])('with %j and on_promote = %s is %s', (files, onPromote, column) => {
    for (const file of files) write(file);
    expect(failureColumn(directory, onPromote)).toBe(column);
  });
});

describe('a stop of the server', () => {
  const status = (text: string): string =>
    `123\n/data\n1795240000\n5432\n/tmp\nlocalhost\n  5432001         3\n${text}\n`;

  test.each([
    ['stopping', true],
    ['ready   ', false],
    ['starting', false],
    ['standby ', false],
  ])('is seen by its last line: "%s"', (text, stopping) => {
    write('postmaster.pid', status(text));
    expect(postmasterIsStopping(directory)).toBe(stopping);
  });

  test('is not seen where there is no server, or in another line', () => {
    expect(postmasterIsStopping(directory)).toBe(false);
    write('postmaster.pid', status('ready').replace('/data', 'stopping'));
    expect(postmasterIsStopping(directory)).toBe(false);
  });
});
