import { execFileSync } from 'node:child_process';
import * as promises from 'node:fs/promises';
import {
  link,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connect } from '../../src/storage/connect.ts';
import { Deadline } from '../../src/storage/deadline.ts';
import type { Disk } from '../../src/storage/file/disk.ts';
import { FileStorage } from '../../src/storage/file/storage.ts';
import type { ListOptions, Storage } from '../../src/storage/storage.ts';
import { bodyOf, collect, noise, text } from './bodies.ts';
import { fileArchive, makeFilePlace } from './file-place.ts';

const DAY_MS = 24 * 60 * 60 * 1_000;
let place: Awaited<ReturnType<typeof makeFilePlace>>;
let deadline: Deadline;

beforeEach(async () => {
  place = await makeFilePlace();
  deadline = new Deadline(30_000, { what: 'the test' });
});
afterEach(async () => {
  deadline.close();
  await place.remove();
});

/** The archive, on a disk of which some calls are replaced. */
const on = (disk: Partial<Disk>): Storage =>
  new FileStorage(fileArchive(place.path).url, { mounted: false, disk: { ...promises, ...disk } });
const failing = (code: string) => (): Promise<never> =>
  Promise.reject(Object.assign(new Error(`${code}: it is so, call '/a' -> '/b'`), { code }));
const at = (key: string): string => `${place.path}/${key}`;
const create = (storage: Storage, key: string, content = 'x'): Promise<void> =>
  storage.create(key, text(content), deadline);

async function keysOf(storage: Storage, prefix: string, options: ListOptions = {}): Promise<string[]> {
  const keys: string[] = [];
  for await (const page of storage.list(prefix, options, deadline)) keys.push(...page.map(({ key }) => key));
  return keys;
}

describe('link(2)', () => {
  it('that says EEXIST for our own link (a lost reply on NFS) has made it', async () => {
    const storage = on({
      link: async (from, to) => {
        await link(from, to);
        await failing('EEXIST')();
      },
    });
    await create(storage, '1/wal/a', 'ours');
    expect(await readFile(at('1/wal/a'), 'utf8')).toBe('ours');
    expect(await place.leftovers()).toEqual([]);
  });

  it('decides, however late another writer comes', async () => {
    const storage = on({
      link: async (from, to) => {
        await writeFile(to, 'theirs');
        await link(from, to);
      },
    });
    await expect(create(storage, '1/wal/a', 'ours')).rejects.toMatchObject({ kind: 'exists' });
    expect(await readFile(at('1/wal/a'), 'utf8')).toBe('theirs');
    expect(await place.leftovers()).toEqual([]);
  });

  it.each(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EXDEV'])(
    'that says %s is a matter of configuration',
    async (code) => {
      await expect(create(on({ link: failing(code) }), '1/wal/a')).rejects.toMatchObject({
        kind: 'configuration',
        retryable: false,
        message: expect.stringContaining(code) as unknown,
      });
      await expect(lstat(at('1/wal/a'))).rejects.toThrow(/ENOENT/);
      expect(await place.leftovers()).toEqual([]);
    },
  );

  it('finds the directory again that somebody removed while it was empty', async () => {
    const storage = await place.another();
    await create(storage, '1/wal/d/a');
    await rm(at('1/wal/d'), { recursive: true });
    await create(storage, '1/wal/d/b');
    expect(await keysOf(storage, '')).toEqual(['1/wal/d/b']);
  });
});

describe('durability', () => {
  /** Notes what is synced and linked, in order, by the path below the root. */
  const noting = (events: string[]): Partial<Disk> => ({
    open: async (...given) => {
      const file = await promises.open(...given);
      const path = String(given[0])
        .slice(place.path.length)
        .replace(/[0-9]+\.[0-9a-f]+\.part/, 'TEMP');
      const sync = file.sync.bind(file);
      file.sync = () => {
        events.push(`sync ${path}`);
        return sync();
      };
      return file;
    },
    link: async (from, to) => {
      events.push('link');
      await link(from, to);
    },
  });

  it('syncs the file before it gets its name, and every directory on the way', async () => {
    const events: string[] = [];
    const storage = on(noting(events));
    await create(storage, '1/wal/d/a');
    expect(events).toEqual(['sync ', 'sync /1', 'sync /1/wal', 'sync /tmp/TEMP', 'link', 'sync /1/wal/d']);
    events.length = 0;
    await create(storage, '1/wal/d/b');
    expect(events).toEqual(['sync /tmp/TEMP', 'link', 'sync /1/wal/d']);
  });

  it('makes what another process left half-done durable before it says exists', async () => {
    await create(place.storage, '1/wal/d/a');
    const events: string[] = [];
    await expect(create(on(noting(events)), '1/wal/d/a')).rejects.toMatchObject({ kind: 'exists' });
    expect(events).toEqual(['sync ', 'sync /1', 'sync /1/wal', 'sync /1/wal/d']);
  });

  it('is not claimed where a directory cannot be synced', async () => {
    const storage = on({
      open: async (...given) => {
        const file = await promises.open(...given);
        if (given[1] !== 'wx') file.sync = failing('EIO');
        return file;
      },
    });
    await expect(create(storage, '1/wal/a')).rejects.toMatchObject({ kind: 'unreachable', retryable: true });
  });
});

describe('writing', () => {
  it('goes on after a write that took only a part', async () => {
    const bytes = noise(100_000, 3);
    const storage = on({
      open: async (...given) => {
        const file = await promises.open(...given);
        const write = file.write.bind(file);
        file.writev = async (pieces) => {
          const [first] = pieces;
          const { bytesWritten } = await write(first ?? Buffer.alloc(0), 0, Math.min(777, first?.byteLength ?? 0));
          return { bytesWritten, buffers: pieces };
        };
        return file;
      },
    });
    await storage.create('1/wal/a', bodyOf(bytes, 3_000), deadline);
    expect((await readFile(at('1/wal/a'))).equals(bytes)).toBe(true);
  });

  it.each([
    ['ENOSPC', 'full'],
    ['EDQUOT', 'full'],
    ['EIO', 'unreachable'],
  ])('that fails with %s is %s, and leaves nothing behind', async (code, kind) => {
    const storage = on({
      open: async (...given) => {
        const file = await promises.open(...given);
        file.writev = failing(code);
        return file;
      },
    });
    await expect(create(storage, '1/wal/a')).rejects.toMatchObject({
      kind,
      message: expect.stringContaining(code) as unknown,
    });
    expect(await place.leftovers()).toEqual([]);
    expect(await keysOf(storage, '')).toEqual([]);
  });

  it('takes many tiny pieces', async () => {
    const bytes = noise(5_000, 4);
    await place.storage.create('1/wal/a', bodyOf(bytes, 1), deadline);
    expect((await readFile(at('1/wal/a'))).equals(bytes)).toBe(true);
  });

  it('sweeps a few old temporary files of its own kind, and no others', async () => {
    await mkdir(at('tmp'));
    const old = Array.from({ length: 12 }, (_, index) => `77.${String(index).padStart(24, '0')}.part`);
    const kept = [`77.${'f'.repeat(24)}.part`, 'notes.txt'];
    for (const name of [...old, ...kept]) await writeFile(at(`tmp/${name}`), 'x');
    const past = new Date(Date.now() - 2 * DAY_MS);
    for (const name of [...old, 'notes.txt']) await utimes(at(`tmp/${name}`), past, past);
    await create(place.storage, '1/wal/a');
    await expect.poll(() => readdir(at('tmp'))).toHaveLength(4 + kept.length);
    await create(await place.another(), '1/wal/b');
    await expect.poll(async () => (await readdir(at('tmp'))).sort()).toEqual(kept.sort());
  });

  it('does not fail because of what cannot be swept', async () => {
    await create(on({ readdir: failing('EIO') }), '1/wal/a');
    expect(await keysOf(place.storage, '')).toEqual(['1/wal/a']);
  });
});

describe('the root', () => {
  it('is never created', async () => {
    await rm(place.path, { recursive: true });
    const error: unknown = await create(place.storage, '1/wal/a').catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      kind: 'unreachable',
      retryable: false,
      hint: expect.stringContaining('mounted') as unknown,
    });
    await expect(lstat(place.path)).rejects.toThrow(/ENOENT/);
  });

  it('that is a file is a matter of configuration', async () => {
    await rm(place.path, { recursive: true });
    await writeFile(place.path, '');
    await expect(place.storage.get('1/wal/a', deadline)).rejects.toMatchObject({ kind: 'configuration' });
    await expect(keysOf(place.storage, '')).rejects.toMatchObject({ kind: 'configuration' });
  });

  it('must be mounted where the settings demand it', async () => {
    const demanding = await connect(fileArchive(place.path, true));
    for (const act of [
      () => create(demanding, '1/wal/a'),
      () => demanding.get('1/wal/a', deadline),
      () => keysOf(demanding, ''),
      () => demanding.delete(['1/wal/a'], deadline),
    ]) {
      await expect(act()).rejects.toMatchObject({
        kind: 'unreachable',
        retryable: false,
        message: expect.stringContaining('not mounted') as unknown,
      });
    }
    expect(await readdir(place.path)).toEqual([]);
    // /proc is a file system of its own on every Linux.
    const mounted = new FileStorage('file:///proc', { mounted: true });
    await expect(mounted.get('no-such-thing', deadline)).rejects.toMatchObject({ kind: 'absent' });
  });

  it('that goes away or changes during a look lets nothing be called absent', async () => {
    const away = `${place.path}-away`;
    const goes = on({
      lstat: (async (path: string) => {
        await rename(place.path, away);
        return lstat(path);
      }) as unknown as Disk['lstat'],
    });
    await expect(goes.get('1/wal/a', deadline)).rejects.toMatchObject({ kind: 'unreachable' });
    await mkdir(place.path);
    let turn = 0;
    const changes = on({
      lstat: (async (path: string) => {
        turn += 1;
        if (turn === 1) {
          await rename(place.path, `${away}-2`);
          await rename(away, place.path);
        }
        return lstat(path);
      }) as unknown as Disk['lstat'],
    });
    await expect(changes.head('1/wal/a', deadline)).rejects.toMatchObject({ kind: 'unreachable', retryable: true });
    const listing = on({
      readdir: async () => {
        await rename(place.path, away);
        return failing('ENOENT')();
      },
    });
    await expect(keysOf(listing, '1/')).rejects.toMatchObject({ kind: 'unreachable' });
  });
});

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
