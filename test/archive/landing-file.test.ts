import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { describe, expect, onTestFinished, test } from 'vitest';

import { Failure } from '../../src/exit.ts';
import { LandingFile } from '../../src/server/landing-file.ts';
import { writeSome, type WriteSome } from '../../src/server/written-file.ts';

function place(): string {
  const directory = mkdtempSync(join(tmpdir(), 'walseal-landing-'));
  onTestFinished(() => {
    rmSync(directory, { recursive: true });
  });
  return directory;
}

const always = (): boolean => true;

test('what is abandoned is not begun again by work that was cut off and still runs', async () => {
  const directory = place();
  const landing = new LandingFile(join(directory, 'RECOVERYXLOG'));
  await landing.restart();
  landing.abandon();
  await expect(landing.restart()).rejects.toMatchObject({ kind: 'unwritable' });
  expect(readdirSync(directory)).toEqual([]);
});

test('nothing is written before the first byte, and nothing is left of what is discarded', async () => {
  const directory = place();
  const landing = new LandingFile(join(directory, 'RECOVERYXLOG'));
  landing.discard();
  expect(readdirSync(directory)).toEqual([]);
  await landing.restart();
  await landing.write(Buffer.from('some bytes'));
  expect(readdirSync(directory)).toEqual([`xlogtemp.walseal.${process.pid}`]);
  landing.discard();
  landing.discard();
  expect(readdirSync(directory)).toEqual([]);
});

test('a new beginning forgets what was written, however long it was', async () => {
  const directory = place();
  const path = join(directory, 'RECOVERYXLOG');
  const landing = new LandingFile(path);
  await landing.restart();
  await landing.write(Buffer.alloc(100_000, 'x'));
  await landing.restart();
  await landing.write(Buffer.from('the '));
  await landing.write(Buffer.from('file'));
  await landing.commit(always);
  expect(readFileSync(path, 'utf8')).toBe('the file');
  expect(readdirSync(directory)).toEqual(['RECOVERYXLOG']);
});

test('what was committed is not discarded afterwards', async () => {
  const directory = place();
  const landing = new LandingFile(join(directory, 'RECOVERYXLOG'));
  await landing.restart();
  await landing.commit(always);
  landing.discard();
  expect(readdirSync(directory)).toEqual(['RECOVERYXLOG']);
});

test('a rename that fails leaves nothing behind', async () => {
  const directory = place();
  mkdirSync(join(directory, 'RECOVERYXLOG'));
  const landing = new LandingFile(join(directory, 'RECOVERYXLOG'));
  await landing.restart();
  await landing.write(Buffer.from('bytes'));
  await expect(landing.commit(always)).rejects.toThrow(Failure);
  landing.discard();
  expect(readdirSync(directory)).toEqual(['RECOVERYXLOG']);
});

test('nobody is asked too early: only at the last moment, and a no leaves nothing behind', async () => {
  const directory = place();
  const landing = new LandingFile(join(directory, 'RECOVERYXLOG'));
  await landing.restart();
  await landing.write(Buffer.from('bytes'));
  await expect(
    landing.commit(() => {
      expect(readdirSync(directory)).toHaveLength(1);
      return false;
    }),
  ).rejects.toThrow(/nobody waits/);
  expect(readdirSync(directory)).toEqual([]);
});

test('an empty path is refused before anything is touched', async () => {
  expect((await failureOf(() => Promise.resolve(new LandingFile('')))).kind).toBe('usage');
});

test.each([
  ['a directory has the name', 'directory', 'EISDIR', 'is a directory'],
  ['a file stands in the way', 'file/x', 'ENOTDIR', 'is a file'],
  ['the directory is missing', 'nowhere/x', 'ENOENT', 'does not exist'],
])('where %s, the failure says what to do', async (_, path, code, hint) => {
  const root = place();
  writeFileSync(join(root, 'file'), '');
  mkdirSync(join(root, 'directory'));
  const landing = new LandingFile(join(root, path));
  const failure = await failureOf(async () => {
    await landing.restart();
    await landing.commit(always);
  });
  landing.discard();
  expect(failure.kind).toBe('unwritable');
  expect(failure.message).toContain(code);
  expect(failure.hint).toContain(hint);
  expect(readdirSync(root).sort()).toEqual(['directory', 'file']);
});

/** Writes that are held until a test lets them go on, one after the other, or has them fail. */
class HeldWrites {
  readonly #held: { readonly descriptor: number; readonly goOn: (error?: Error) => void }[] = [];
  /** At most so many bytes are written at once. */
  most = Infinity;

  readonly write: WriteSome = async (descriptor, bytes, position) => {
    await new Promise<void>((resolve, reject) => {
      this.#held.push({ descriptor, goOn: (error) => (error === undefined ? resolve() : reject(error)) });
    });
    return writeSome(descriptor, bytes.subarray(0, this.most), position);
  };

  get count(): number {
    return this.#held.length;
  }

  /** Lets the oldest go on. Returns its descriptor. */
  goOn(error?: Error): number {
    const oldest = this.#held.shift();
    if (oldest === undefined) throw new Error('no write is held');
    oldest.goOn(error);
    return oldest.descriptor;
  }
}

function fault(code: string): Error {
  return Object.assign(new Error(`${code}: made by a test`), { code });
}

/** Long enough for everything that does not wait for a write that is held. */
async function aWhile(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  const settle = (): void => {
    settled = true;
  };
  promise.then(settle, settle);
  await aWhile();
  return settled;
}

/** Whether the descriptor is still the landing file's. */
function isOpen(descriptor: number): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`).includes('xlogtemp.walseal');
  } catch {
    return false;
  }
}

describe('while a write is under way', () => {
  async function begun(): Promise<{
    directory: string;
    held: HeldWrites;
    landing: LandingFile;
    writing: Promise<void>;
  }> {
    const directory = place();
    const held = new HeldWrites();
    const landing = new LandingFile(join(directory, 'RECOVERYXLOG'), { write: held.write });
    await landing.restart();
    const writing = landing.write(Buffer.from('some bytes'));
    writing.catch(() => undefined);
    return { directory, held, landing, writing };
  }

  test('the file has no final name yet: it gets it when the last one has ended', async () => {
    const { directory, held, landing, writing } = await begun();
    const more = landing.write(Buffer.from(' and more'));
    const committing = landing.commit(always);
    held.goOn();
    await writing;
    expect(await isSettled(committing)).toBe(false);
    expect(readdirSync(directory)).not.toContain('RECOVERYXLOG');
    held.goOn();
    await Promise.all([more, committing]);
    expect(readFileSync(join(directory, 'RECOVERYXLOG'), 'utf8')).toBe('some bytes and more');
  });

  test('what is discarded is gone at once, and its descriptor is closed only when the write has ended', async () => {
    const { directory, held, landing, writing } = await begun();
    landing.discard();
    expect(readdirSync(directory)).toEqual([]);
    await aWhile();
    // Closed, its number would go to this file, and the write into it.
    const other = openSync(join(directory, 'other'), 'w');
    const descriptor = held.goOn();
    expect(descriptor).not.toBe(other);
    expect(isOpen(descriptor)).toBe(true);
    await writing;
    await aWhile();
    expect(isOpen(descriptor)).toBe(false);
    expect(readFileSync(join(directory, 'other'), 'utf8')).toBe('');
    expect(readdirSync(directory)).toEqual(['other']);
    closeSync(other);
  });

  test('what is discarded is not written on', async () => {
    const { held, landing, writing } = await begun();
    held.most = 4;
    landing.discard();
    const descriptor = held.goOn();
    expect(isOpen(descriptor)).toBe(true);
    await writing;
    await aWhile();
    expect(held.count).toBe(0);
    expect(isOpen(descriptor)).toBe(false);
  });

  test('a new beginning waits for it, and nothing of it is left', async () => {
    const { directory, held, landing, writing } = await begun();
    const restarting = landing.restart();
    expect(await isSettled(restarting)).toBe(false);
    held.goOn();
    await Promise.all([writing, restarting]);
    const again = landing.write(Buffer.from('new'));
    held.goOn();
    await again;
    await landing.commit(always);
    expect(readFileSync(join(directory, 'RECOVERYXLOG'), 'utf8')).toBe('new');
  });

  test('a write that ends short goes on where it ended', async () => {
    const { directory, held, landing, writing } = await begun();
    held.most = 3;
    const more = landing.write(Buffer.from(' more'));
    while (!(await isSettled(Promise.all([writing, more])))) if (held.count > 0) held.goOn();
    await landing.commit(always);
    expect(readFileSync(join(directory, 'RECOVERYXLOG'), 'utf8')).toBe('some bytes more');
  });

  test.each([
    ['ENOSPC', 'The disk is full'],
    ['EDQUOT', 'The quota is used up'],
    ['EROFS', 'read-only'],
  ])('%s is told to who waits for it, and to a new beginning or an end', async (code, hint) => {
    const { directory, held, landing, writing } = await begun();
    held.goOn(fault(code));
    for (const work of [() => writing, () => landing.restart(), () => landing.commit(always)]) {
      const failure = await failureOf(work);
      expect(failure.kind).toBe('unwritable');
      expect(failure.message).toContain(code);
      expect(failure.hint).toContain(hint);
    }
    landing.discard();
    expect(readdirSync(directory)).toEqual([]);
  });

  test('a failure of one that nobody waits for keeps the file from its final name', async () => {
    const { directory, held, landing } = await begun();
    const committing = landing.commit(always);
    held.goOn(fault('ENOSPC'));
    expect((await failureOf(() => committing)).kind).toBe('unwritable');
    landing.discard();
    expect(readdirSync(directory)).toEqual([]);
  });
});

async function failureOf(work: () => Promise<unknown>): Promise<Failure> {
  try {
    await work();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error('expected a Failure');
}
