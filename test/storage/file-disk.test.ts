import { spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import * as promises from 'node:fs/promises';
import { link, lstat, mkdir, readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { describe, expect, it } from 'vitest';
import { connect } from '../../src/storage/connect.ts';
import { Deadline } from '../../src/storage/deadline.ts';
import type { Disk } from '../../src/storage/file/disk.ts';
import { FileStorage } from '../../src/storage/file/storage.ts';
import { withLimits } from '../../src/storage/limits.ts';
import { withRetry } from '../../src/storage/retry.ts';
import { bodyOf, noise, text } from './bodies.ts';
import { place, deadline, on, failing, at, create, keysOf, useFilePlace } from './file-fixture.ts';
import { fileArchive } from './file-place.ts';

useFilePlace();

const DAY_MS = 24 * 60 * 60 * 1_000;

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
  /** Notes, by the path below the root, each sync when it has ended, and each link when it begins. */
  const noting = (events: string[]): Partial<Disk> => ({
    open: async (...given) => {
      const file = await promises.open(...given);
      const path = String(given[0])
        .slice(place.path.length)
        .replace(/[\w-]+\.[0-9]+\.[0-9a-f]+\.part/, 'TEMP');
      const sync = file.sync.bind(file);
      file.sync = async () => {
        await sync();
        events.push(`sync ${path}`);
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
    // The directories are synced while the file is written.
    const before = events.splice(0, events.indexOf('link')).sort();
    expect(before).toEqual(['sync ', 'sync /1', 'sync /1/wal', 'sync /tmp/TEMP']);
    expect(events).toEqual(['link', 'sync /1/wal/d']);
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
    const old = Array.from({ length: 12 }, (_, index) => `elsewhere.77.${String(index).padStart(24, '0')}.part`);
    const kept = [`elsewhere.77.${'f'.repeat(24)}.part`, 'notes.txt'];
    for (const name of [...old, ...kept]) await writeFile(at(`tmp/${name}`), 'x');
    const past = new Date(Date.now() - 2 * DAY_MS);
    for (const name of [...old, 'notes.txt']) await utimes(at(`tmp/${name}`), past, past);
    await create(place.storage, '1/wal/a');
    await expect.poll(() => readdir(at('tmp'))).toHaveLength(4 + kept.length);
    await create(await place.another(), '1/wal/b');
    await expect.poll(async () => (await readdir(at('tmp'))).sort()).toEqual(kept.sort());
  });

  it('sweeps at once what an ended process of this host left, even where the create then fails', async () => {
    await mkdir(at('tmp'));
    const ended = spawnSync('/bin/true').pid;
    const host = hostname().replaceAll(/[^\w-]/g, '_');
    const namespace = readlinkSync('/proc/self/ns/pid').replaceAll(/[^0-9]/g, '');
    const part = (place: string, pid: number): string => `${place}.${pid}.${'0'.repeat(24)}.part`;
    const own = `${host}-${namespace}`;
    // A container may have the name of its host, and then its processes are only out of sight from here.
    const kept = [part(own, process.pid), part(host, ended), part(`${host}-1`, ended)];
    for (const name of [part(own, ended), ...kept]) await writeFile(at(`tmp/${name}`), 'x');
    await expect(create(on({ link: failing('ENOSPC') }), '1/wal/a')).rejects.toMatchObject({ kind: 'full' });
    await expect.poll(async () => (await readdir(at('tmp'))).sort()).toEqual(kept.sort());
  });

  it('does not fail because of what cannot be swept', async () => {
    await create(on({ readdir: failing('EIO') }), '1/wal/a');
    expect(await keysOf(place.storage, '')).toEqual(['1/wal/a']);
  });
});

describe('a file server that hangs', () => {
  it('holds nobody, and a create that wakes up after the deadline makes no object', async () => {
    let wake = (): void => undefined;
    const asleep = new Promise<void>((resolve) => {
      wake = resolve;
    });
    const hung = on({
      open: async (...given) => {
        const file = await promises.open(...given);
        const sync = file.sync.bind(file);
        if (given[1] === 'wx') file.sync = () => asleep.then(sync);
        return file;
      },
    });
    const short = new Deadline(60_000, { what: 'the push' });
    const created = withRetry(withLimits(hung)).create('1/wal/a', text('x'), short);
    await expect.poll(() => place.leftovers()).toHaveLength(1);
    short.shorten(0);
    await expect(created).rejects.toMatchObject({ kind: 'unreachable', message: 'the push was not done within 0 ms' });
    wake();
    await expect.poll(() => place.leftovers()).toEqual([]);
    expect(await keysOf(place.storage, '')).toEqual([]);
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
