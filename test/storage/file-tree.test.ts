import { execFileSync } from 'node:child_process';
import { lstat, mkdir, readdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { Disk } from '../../src/storage/file/disk.ts';
import { bodyOf, collect, noise } from './bodies.ts';
import { place, deadline, on, failing, at, create, keysOf, useFilePlace } from './file-fixture.ts';

useFilePlace();

describe('what is no object', () => {
  it('at a key is corrupt', async () => {
    await mkdir(at('1/wal/directory'), { recursive: true });
    await writeFile(at('1/wal/real'), 'x');
    await symlink('real', at('1/wal/link'));
    await symlink('nothing', at('1/wal/dangling'));
    execFileSync('mkfifo', [at('1/wal/pipe')]);
    for (const name of ['directory', 'link', 'dangling', 'pipe']) {
      await expect(place.storage.get(`1/wal/${name}`, deadline), name).rejects.toMatchObject({ kind: 'corrupt' });
      await expect(place.storage.head(`1/wal/${name}`, deadline), name).rejects.toMatchObject({ kind: 'corrupt' });
      await expect(create(place.storage, `1/wal/${name}`), name).rejects.toMatchObject({ kind: 'corrupt' });
    }
    await expect(place.storage.get('1/wal/real/below', deadline)).rejects.toMatchObject({ kind: 'corrupt' });
    await expect(place.storage.delete(['1/wal/directory'], deadline)).rejects.toMatchObject({ kind: 'corrupt' });
  });

  it('is not listed, but files that nobody knows are', async () => {
    await mkdir(at('1/wal/empty'), { recursive: true });
    await mkdir(at('tmp'));
    await mkdir(at('lost+found'));
    for (const path of ['tmp/x', 'lost+found/x', '1/wal/a', '1/notes.txt', 'README', '1/tmp'])
      await writeFile(at(path), 'x');
    await symlink('a', at('1/wal/link'));
    execFileSync('mkfifo', [at('1/wal/pipe')]);
    expect(await keysOf(place.storage, '')).toEqual(['1/notes.txt', '1/tmp', '1/wal/a', 'README']);
    expect(await keysOf(place.storage, 'tmp/')).toEqual([]);
    expect(await keysOf(place.storage, 't')).toEqual([]);
  });

  it.each(['', '/a', 'a/', 'a//b', '.', '..', '../a', 'a/../b', 'a/./b', 'a\0b', 'tmp/a', 'lost+found/a'])(
    '"%s" is no key',
    async (key) => {
      for (const act of [
        () => create(place.storage, key),
        () => place.storage.get(key, deadline),
        () => place.storage.head(key, deadline),
        () => place.storage.delete([key], deadline),
      ]) {
        await expect(act()).rejects.toBeInstanceOf(TypeError);
      }
    },
  );

  it.each(['../', 'a/../', '/', 'a//'])('%j is no prefix', async (prefix) => {
    await expect(keysOf(place.storage, prefix)).rejects.toBeInstanceOf(TypeError);
  });
});

describe('links to directories', () => {
  it('are followed, by get and by list', async () => {
    await create(place.storage, '1/wal/a', 'moved');
    await rename(at('1'), `${place.path}-elsewhere`);
    await symlink(`${place.path}-elsewhere`, at('1'));
    expect(await keysOf(place.storage, '1/')).toEqual(['1/wal/a']);
    expect((await collect((await place.storage.get('1/wal/a', deadline)).bytes)).toString()).toBe('moved');
    await expect(place.storage.get('1/wal/b', deadline)).rejects.toMatchObject({ kind: 'absent' });
  });

  it('that lead to nothing hide objects: nothing is absent, no listing is empty', async () => {
    await symlink(`${place.path}-unmounted`, at('1'));
    const expected = { kind: 'unreachable', retryable: false };
    await expect(place.storage.get('1/wal/a', deadline)).rejects.toMatchObject(expected);
    await expect(place.storage.head('1/a', deadline)).rejects.toMatchObject(expected);
    await expect(keysOf(place.storage, '')).rejects.toMatchObject(expected);
    await expect(keysOf(place.storage, '1/')).rejects.toMatchObject(expected);
    await expect(keysOf(place.storage, '1/wal/0')).rejects.toMatchObject(expected);
    await expect(place.storage.delete(['1/a'], deadline)).rejects.toMatchObject(expected);
  });
});

describe('reading', () => {
  it.each([
    ['shorter', 1_500_000],
    ['longer', 9_000_000],
  ])('notices that a file became %s meanwhile', async (_, length) => {
    await place.storage.create('1/wal/a', bodyOf(noise(6_000_000, 1)), deadline);
    const { bytes } = await place.storage.get('1/wal/a', deadline);
    const readAll = async (): Promise<void> => {
      let count = 0;
      for await (const piece of bytes) {
        expect(piece.length).toBeGreaterThan(0);
        if (count === 0) await truncate(at('1/wal/a'), length);
        count += 1;
      }
    };
    await expect(readAll()).rejects.toMatchObject({ kind: 'corrupt' });
  });

  it('holds no descriptor for an object that nobody reads', async () => {
    await create(place.storage, '1/wal/a');
    const before = (await readdir('/proc/self/fd')).length;
    for (let count = 0; count < 50; count += 1) await place.storage.get('1/wal/a', deadline);
    expect((await readdir('/proc/self/fd')).length).toBeLessThan(before + 10);
  });
});

describe('listing', () => {
  it('reads only the directories that can hold what is asked for', async () => {
    const directories = Array.from(
      { length: 40 },
      (_, index) => `00000001000000${index.toString(16).toUpperCase().padStart(2, '0')}`,
    );
    await place.fill(
      directories.flatMap((directory) => [`1/wal/${directory}/${directory}00000001`, `2/wal/${directory}/x`]),
    );
    const read: string[] = [];
    const counted = on({
      readdir: ((path: string, options: { withFileTypes: true }) => {
        read.push(path.slice(place.path.length + 1));
        return readdir(path, options);
      }) as unknown as Disk['readdir'],
    });
    const after = `1/wal/${directories[37] ?? ''}/z`;
    expect(await keysOf(counted, '1/wal/', { after })).toHaveLength(2);
    expect(read).toEqual(['1/wal/', ...directories.slice(37).map((directory) => `1/wal/${directory}/`)]);
    read.length = 0;
    for await (const page of counted.list('1/', { limit: 1 }, deadline)) {
      expect(page).toHaveLength(1);
      break;
    }
    expect(read).toEqual(['1/', '1/wal/', `1/wal/${directories[0] ?? ''}/`]);
    read.length = 0;
    expect(await keysOf(counted, `1/wal/${directories[5] ?? ''}`)).toHaveLength(1);
    expect(read).toEqual(['1/wal/', `1/wal/${directories[5] ?? ''}/`]);
  });

  it('leaves out what was deleted meanwhile', async () => {
    await place.fill(['1/wal/a', '1/wal/b']);
    const storage = on({
      lstat: (async (path: string) => {
        await rm(at('1/wal/b'), { force: true });
        return lstat(path);
      }) as unknown as Disk['lstat'],
    });
    expect(await keysOf(storage, '1/')).toEqual(['1/wal/a']);
  });

  it('fails where a directory cannot be read, or a name is not UTF-8', async () => {
    await place.fill(['1/wal/a']);
    const failingDisk = on({ readdir: failing('EIO') });
    await expect(keysOf(failingDisk, '1/')).rejects.toMatchObject({ kind: 'unreachable', retryable: true });
    await writeFile(Buffer.concat([Buffer.from(at('1/wal/')), Buffer.of(0x66, 0xe9)]), 'x');
    await expect(keysOf(place.storage, '1/')).rejects.toMatchObject({ kind: 'corrupt' });
  });
});
