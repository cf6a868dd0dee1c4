import { chmodSync, chownSync, mkdirSync, realpathSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

import { identifyDirectory, socketPath } from '../../src/agent/where.ts';
import { makeScratch } from '../harness/scratch.ts';

const MINE = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
const ID = { dev: '1', ino: '2' };
const isRoot = MINE.uid === 0;
const STRANGER = 12_345;

/** A directory that sockets may lie in, and one above it. */
function makePlace(): { above: string; directory: string; socket: string } {
  const above = join(makeScratch('where', MINE), 'above');
  const directory = join(above, 'sockets');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  chmodSync(above, 0o755);
  return { above, directory, socket: join(directory, 'agent.sock') };
}

test('a directory of our own, mode 0700, below trusted ones, is a place for a socket', () => {
  const { socket, directory } = makePlace();
  expect(socketPath(socket, ID)).toBe(join(realpathSync(directory), 'agent.sock'));
});

describe('no place for a socket is', () => {
  test.each([0o755, 0o750, 0o770, 0o777, 0o701, 0o1777])('a directory that others look into: mode %o', (mode) => {
    const { socket, directory } = makePlace();
    chmodSync(directory, mode);
    expect(socketPath(socket, ID)).toBeUndefined();
  });

  test('a directory that is not there', () => {
    expect(socketPath(join(makePlace().directory, 'missing', 'agent.sock'), ID)).toBeUndefined();
  });

  test('a link to a good directory', () => {
    const { above, directory } = makePlace();
    symlinkSync(directory, join(above, 'link'));
    expect(socketPath(join(above, 'link', 'agent.sock'), ID)).toBeUndefined();
  });

  test.runIf(isRoot)('a directory of somebody else', () => {
    const { socket, directory } = makePlace();
    chownSync(directory, STRANGER, STRANGER);
    expect(socketPath(socket, ID)).toBeUndefined();
  });

  test.each([0o777, 0o775, 0o722])('one below a directory that others may write: mode %o', (mode) => {
    const { above, socket } = makePlace();
    chmodSync(above, mode);
    expect(socketPath(socket, ID)).toBeUndefined();
  });

  test.runIf(isRoot)('one below a directory of somebody else', () => {
    const { above, socket } = makePlace();
    chownSync(above, STRANGER, STRANGER);
    expect(socketPath(socket, ID)).toBeUndefined();
  });

  test('one that is reached through a directory that others may write, by a link further up', () => {
    const { above, directory } = makePlace();
    chmodSync(above, 0o777);
    const link = join(makeScratch('where', MINE), 'link');
    symlinkSync(above, link);
    expect(socketPath(join(link, 'sockets', 'agent.sock'), ID)).toBeUndefined();
    expect(directory).toContain(above);
  });
});

test('a sticky directory above may be written by others, as /tmp is', () => {
  const { above, socket } = makePlace();
  chmodSync(above, 0o1777);
  expect(socketPath(socket, ID)).toBeDefined();
});

test('a link further up is followed to what it means', () => {
  const { above, directory } = makePlace();
  const link = join(makeScratch('where', MINE), 'link');
  symlinkSync(above, link);
  expect(socketPath(join(link, 'sockets', 'agent.sock'), ID)).toBe(join(realpathSync(directory), 'agent.sock'));
});

test('a data directory is known by what it is, whatever it is called', () => {
  const { above, directory } = makePlace();
  symlinkSync(directory, join(above, 'link'));
  expect(identifyDirectory(join(above, 'link'))).toEqual(identifyDirectory(directory));
  expect(identifyDirectory(above)).not.toEqual(identifyDirectory(directory));
});
