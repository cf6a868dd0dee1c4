import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';

import { hasRoomForAgent } from '../../src/agent/cgroup.ts';
import { makeScratch } from '../harness/scratch.ts';

const MIB = 1024 * 1024;
const WANTED = 100 * MIB;
const MINE = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

type Tree = Readonly<Record<string, Readonly<Record<string, string | number>>>>;

/** Makes a tree of control groups: directories, and what is in their files. Returns its root. */
function makeTree(tree: Tree): string {
  const root = makeScratch('cgroup', MINE);
  for (const [group, files] of Object.entries(tree)) {
    mkdirSync(join(root, group), { recursive: true });
    for (const [name, content] of Object.entries(files)) writeFileSync(join(root, group, name), `${content}\n`);
  }
  return root;
}

const hasRoom = (own: string, tree: Tree): boolean => hasRoomForAgent(WANTED, `${own}\n`, makeTree(tree));

describe('version 2', () => {
  const IN = '0::/system.slice/postgresql.service';
  const GROUP = 'system.slice/postgresql.service';

  test('no limit is room', () => {
    expect(hasRoom(IN, { [GROUP]: { 'memory.max': 'max', 'memory.current': 10 * WANTED } })).toBe(true);
    expect(hasRoom('0::/', {})).toBe(true);
  });

  test('four times what is wanted must be free, pages that the kernel gives back counted as free', () => {
    const tree = (current: number, inactive: number): Tree => ({
      [GROUP]: {
        'memory.max': 1024 * MIB,
        'memory.current': current,
        'memory.stat': `anon 1\nfile 2\ninactive_anon ${900 * MIB}\ninactive_file ${inactive}\nactive_file ${900 * MIB}`,
      },
    });
    expect(hasRoom(IN, tree(624 * MIB, 0))).toBe(true);
    expect(hasRoom(IN, tree(625 * MIB, 0))).toBe(false);
    expect(hasRoom(IN, tree(1024 * MIB, 400 * MIB))).toBe(true);
    expect(hasRoom(IN, tree(1024 * MIB, 399 * MIB))).toBe(false);
  });

  test('a limit of a group above counts as well', () => {
    const tree = {
      'system.slice': { 'memory.max': 399 * MIB, 'memory.current': 0 },
      [GROUP]: { 'memory.max': 'max', 'memory.current': 0 },
    };
    expect(hasRoom(IN, tree)).toBe(false);
  });

  test('a limit that is there and can not be read may be a tight one', () => {
    // A directory stands for all that lets nobody read it: root reads everything else.
    expect(hasRoom(IN, { [`${GROUP}/memory.max`]: {} })).toBe(false);
  });

  test('a group that is killed as a whole is none to be in, on whatever level', () => {
    expect(hasRoom(IN, { [GROUP]: { 'memory.oom.group': 1, 'memory.max': 'max' } })).toBe(false);
    expect(hasRoom(IN, { 'system.slice': { 'memory.oom.group': 1 }, [GROUP]: {} })).toBe(false);
    expect(hasRoom(IN, { [GROUP]: { 'memory.oom.group': 0, 'memory.max': 'max' } })).toBe(true);
  });

  test('in a container, whose own group is the root', () => {
    const files = { 'memory.max': 300 * MIB, 'memory.current': 0 };
    expect(hasRoom('0::/', { '': files })).toBe(false);
    expect(hasRoom('0::/', { '': { ...files, 'memory.max': 400 * MIB } })).toBe(true);
    expect(hasRoom('0::/', { '': { 'memory.oom.group': 1 } })).toBe(false);
  });

  test('in a container that sees the outer name of its group, but not the group', () => {
    expect(hasRoom('0::/docker/0123', { '': { 'memory.max': 300 * MIB, 'memory.current': 0 } })).toBe(false);
  });

  test('a group outside of what is to be seen hides nothing that is', () => {
    expect(hasRoom('0::/../other', { '': { 'memory.max': 300 * MIB, 'memory.current': 0 } })).toBe(false);
  });
});

describe('version 1', () => {
  const IN = '12:cpu,cpuacct:/a\n7:memory:/docker/0123\n1:name=systemd:/docker/0123';

  test('its files have other names', () => {
    const tree = (limit: number): Tree => ({
      'memory/docker/0123': {
        'memory.limit_in_bytes': limit,
        'memory.usage_in_bytes': 500 * MIB,
        'memory.stat': `inactive_file 0\ntotal_inactive_file ${100 * MIB}`,
      },
    });
    expect(hasRoom(IN, tree(800 * MIB))).toBe(true);
    expect(hasRoom(IN, tree(799 * MIB))).toBe(false);
  });

  test('no limit is a number beyond all memory', () => {
    expect(hasRoom(IN, { 'memory/docker/0123': { 'memory.limit_in_bytes': '9223372036854771712' } })).toBe(true);
  });

  test('a memory controller among others', () => {
    const tree = { 'memory/x': { 'memory.limit_in_bytes': MIB, 'memory.usage_in_bytes': 0 } };
    expect(hasRoom('4:hugetlb,memory:/x', tree)).toBe(false);
    expect(hasRoom('4:hugetlb:/x', tree)).toBe(true);
  });

  test('both versions at once: the limits of either', () => {
    const tree = { 'unified/x': { 'memory.oom.group': 1 } };
    expect(hasRoom('0::/x\n7:memory:/x', tree)).toBe(false);
  });
});

test('this machine is looked at without a failure', () => {
  expect(hasRoomForAgent(1)).toBeTypeOf('boolean');
});
