import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { afterEach, describe, expect, test, vi } from 'vitest';

import { Deadline } from '../../src/storage/deadline.ts';
import { MIB, removePath, type TestCluster } from '../harness/cluster.ts';
import { call, fetch, makeCluster, push, standIn } from './in-process.ts';
import { Differing, directoryStore, Failing, Late } from './stores.ts';

// Files share what they load: what the ones before loaded knows nothing of the stand-ins.
vi.hoisted(() => {
  vi.resetModules();
});
vi.mock(import('../../src/storage/connect.ts'), async (original) => {
  const [{ connect }, { connecting }] = await Promise.all([original(), import('./in-process.ts')]);
  return { connect: connecting(connect) };
});

const NAMES = ['000000010000000000000001', '000000010000000000000002', '000000010000000000000003'] as const;
const [FIRST, MIDDLE, LAST] = NAMES;
const AFTER_ALL = '000000010000000000000004';

/** Makes the pauses between two looks at a gap end at once; `meanwhile` runs in each. Returns how many there were. */
function withoutPauses(meanwhile: () => void = () => undefined): () => number {
  let pauses = 0;
  vi.spyOn(Deadline.prototype, 'wait').mockImplementation(() => {
    pauses += 1;
    meanwhile();
    return Promise.resolve();
  });
  return () => pauses;
}

afterEach(() => {
  vi.restoreAllMocks();
});

/** A cluster whose archive holds these files; none is left in pg_wal. */
async function holding(
  names: readonly string[],
  settings: Parameters<TestCluster['settings']>[0] = {},
): Promise<TestCluster> {
  const cluster = makeCluster({ settings });
  for (const name of names) {
    if (name.endsWith('.history') || name.endsWith('.backup')) cluster.walFile(name, `1\t0/200000\tfor ${name}\n`);
    else cluster.segment(name);
    expect(await push(cluster, name)).toMatchObject({ status: 0 });
    removePath(cluster.walPath(name));
  }
  return cluster;
}

describe('absent is said (1) where it is proven', () => {
  test('behind the last segment', async () => {
    const cluster = await holding(NAMES);
    expect(await fetch(cluster, AFTER_ALL)).toMatchObject({ status: 1, failure: '', warnings: '' });
  });

  test('of a timeline that nobody has begun', async () => {
    const cluster = await holding(NAMES);
    expect(await fetch(cluster, '00000002.history')).toMatchObject({ status: 1 });
    expect(await fetch(cluster, '000000020000000000000002')).toMatchObject({ status: 1 });
  });

  test('where later timelines go on, but not this one', async () => {
    const cluster = await holding([
      ...NAMES,
      '00000002.history',
      '000000020000000000000003',
      '000000020000000000000005',
    ]);
    expect(await fetch(cluster, AFTER_ALL)).toMatchObject({ status: 1 });
  });

  test('where only .partial and .backup files and what was set aside come later', async () => {
    const cluster = await holding([FIRST, `${LAST}.partial`, `${LAST}.00000028.backup`]);
    mkdirSync(join(cluster.archive, cluster.systemId, 'aside'), { recursive: true });
    writeFileSync(join(cluster.archive, cluster.systemId, 'aside', `${LAST}.${'0'.repeat(64)}`), 'x');
    expect(await fetch(cluster, MIDDLE)).toMatchObject({ status: 1 });
  });

  test('where pg_wal holds the file itself, with a warning', async () => {
    const cluster = await holding([FIRST, LAST]);
    cluster.segment(MIDDLE);
    const { status, warnings } = await fetch(cluster, MIDDLE);
    expect(status).toBe(1);
    expect(warnings).toContain('the server has the file in pg_wal');
  });

  test('where pg_wal holds a file with an empty end that the server has marked as finished', async () => {
    const cluster = await holding([FIRST, LAST]);
    cluster.walFile(MIDDLE, cluster.segment(MIDDLE).fill(0, MIB / 2));
    mkdirSync(join(cluster.dataDirectory, 'pg_wal', 'archive_status'));
    cluster.walFile(`archive_status/${MIDDLE}.ready`, '');
    expect(await fetch(cluster, MIDDLE)).toMatchObject({ status: 1 });
  });
});

test('a gap is told in time, where the deadline leaves none for another look: 207', async () => {
  const cluster = await holding([FIRST, LAST], { fetch: 'deadline = "1s"' });
  expect(await fetch(cluster, MIDDLE)).toMatchObject({ status: 207 });
});

describe('a file in pg_wal that only has the name is no proof: 207', () => {
  test.each([
    ['an old segment, recycled under a future name', (cluster: TestCluster) => cluster.segment(FIRST)],
    ['one that is half-written, with the old content behind', halfWritten],
    ['one that is half-written, and empty behind', (cluster: TestCluster) => cluster.segment(MIDDLE).fill(0, MIB / 2)],
    ['an empty file', () => Buffer.alloc(0)],
  ])('%s', async (_, content) => {
    withoutPauses();
    const cluster = await holding([FIRST, LAST]);
    cluster.walFile(MIDDLE, content(cluster));
    const { status, failure } = await fetch(cluster, MIDDLE);
    expect(status).toBe(207);
    expect(failure).toContain(`pg_wal/${MIDDLE} is not that file`);
  });

  test('a history file that holds no history', async () => {
    withoutPauses();
    const cluster = await holding([FIRST, '000000020000000000000002']);
    cluster.walFile('00000002.history', '');
    expect(await fetch(cluster, '00000002.history')).toMatchObject({ status: 207 });
  });
});

/** New pages in front, those of the segment that the file was before behind them. */
function halfWritten(cluster: TestCluster): Buffer {
  return Buffer.concat([cluster.segment(MIDDLE).subarray(0, MIB / 2), cluster.segment(FIRST).subarray(MIB / 2)]);
}

describe('a hole at the end of a timeline that was left is told by the history in pg_wal', () => {
  // Segments of 1 MiB: timeline 1 ended inside 000000010000000000000004.
  const HISTORY = '1\t0/480000\tno recovery target specified\n';

  test('for a segment that lies before the fork: 207', async () => {
    withoutPauses();
    const cluster = await holding([FIRST, MIDDLE, '000000020000000000000004']);
    cluster.walFile('00000002.history', HISTORY);
    const { status, failure } = await fetch(cluster, LAST);
    expect(status).toBe(207);
    expect(failure).toContain('pg_wal/00000002.history says that timeline 1 went on to 0/480000');
  });

  test('but not for the one with the fork, which the child has: 1', async () => {
    const cluster = await holding([...NAMES, '000000020000000000000004']);
    cluster.walFile('00000002.history', HISTORY);
    expect(await fetch(cluster, AFTER_ALL)).toMatchObject({ status: 1 });
  });
});

test('a file that comes between the question for it and the listing is fetched', async () => {
  const cluster = await holding([FIRST]);
  const bytes = readFileSync(cluster.objectPath(FIRST));
  const put = (): void => {
    writeFileSync(cluster.objectPath(FIRST), bytes);
  };
  const store = directoryStore(cluster.archive);
  standIn(`file://${cluster.archive}`, new Late(store, put));
  removePath(cluster.objectPath(FIRST));
  withoutPauses();
  expect(await fetch(cluster, FIRST)).toMatchObject({ status: 0 });
});

describe('an archive that holds nothing of this cluster proves nothing: 201', () => {
  test('empty, as an unmounted disk is', async () => {
    const cluster = makeCluster();
    const said = await fetch(cluster, FIRST);
    expect(said.status).toBe(201);
    expect(said.failure).toContain(`file://${cluster.archive} holds nothing of system ${cluster.systemId}`);
    expect(said.failure).toContain('allow_empty');
  });

  test('with another cluster`s files only, as behind a wrong prefix', async () => {
    const cluster = makeCluster({ beside: await holding(NAMES) });
    expect(await fetch(cluster, FIRST)).toMatchObject({ status: 201 });
  });

  test('unless the settings say that it may be empty', async () => {
    const cluster = makeCluster({ settings: { fetch: 'allow_empty = true' } });
    expect(await fetch(cluster, FIRST)).toMatchObject({ status: 1 });
  });

  test('one whose directory is missing: 202', async () => {
    const cluster = await holding(NAMES, { fetch: 'allow_empty = true' });
    removePath(cluster.archive);
    expect(await fetch(cluster, AFTER_ALL)).toMatchObject({ status: 202 });
  });
});

describe('a gap', () => {
  test('is looked at three times more, then it is 207', async () => {
    const cluster = await holding([FIRST, LAST]);
    const pauses = withoutPauses();
    const said = await fetch(cluster, MIDDLE);
    expect(said.status).toBe(207);
    expect(said.failure).toContain(MIDDLE);
    expect(said.failure).toContain(LAST);
    expect(said.failure).toContain('on_gap = "end"');
    expect(pauses()).toBe(3);
  });

  test('that closes meanwhile ends with the file', async () => {
    const cluster = await holding(NAMES);
    const elsewhere = join(cluster.root, 'elsewhere');
    renameSync(cluster.objectPath(MIDDLE), elsewhere);
    withoutPauses(() => {
      copyFileSync(elsewhere, cluster.objectPath(MIDDLE));
    });
    expect(await fetch(cluster, MIDDLE)).toMatchObject({ status: 0 });
  });

  test('is accepted where the settings say so, with a warning', async () => {
    const cluster = await holding([FIRST, LAST], { fetch: 'on_gap = "end"' });
    const said = await fetch(cluster, MIDDLE);
    expect(said.status).toBe(1);
    expect(said.warnings).toContain(LAST);
    expect(said.warnings).toContain('accepts the loss');
  });

  test('is seen far ahead, in the next 4 GB of WAL and in another archive', async () => {
    const cluster = await holding([FIRST]);
    const second = cluster.makeArchive('second');
    const far = '000000010000000700000000';
    mkdirSync(dirname(cluster.objectPath(far, second)), { recursive: true });
    writeFileSync(cluster.objectPath(far, second), 'any');
    cluster.settings({ archives: ['', `url = "file://${second}"`] });
    withoutPauses();
    const said = await fetch(cluster, MIDDLE);
    expect(said.status).toBe(207);
    expect(said.failure).toContain(far);
  });

  test.each(['000000020000000000000003', '000000030000000000000003', '00000003.history', '0000000A.history'])(
    'of a history file is told by anything of its timeline or a higher one: %s',
    async (there) => {
      const cluster = await holding([FIRST, there]);
      withoutPauses();
      const said = await fetch(cluster, '00000002.history');
      expect(said.status).toBe(207);
      expect(said.failure).toContain(there);
    },
  );

  test('is none where the later segments are of another timeline, or are no objects of ours', async () => {
    const cluster = await holding([FIRST, '00000002.history', '000000020000000000000009']);
    const stranger = join(cluster.archive, cluster.systemId, 'wal', '0000000100000000', 'notes.txt');
    writeFileSync(stranger, 'x');
    expect(await fetch(cluster, MIDDLE)).toMatchObject({ status: 1 });
  });
});

describe('a proof that cannot be made is no proof', () => {
  /** Knows no object, and lists nothing: it fails instead. */
  class Unlistable extends Differing {
    override list(): never {
      return new Failing(this.storage, 'denied').list() as never;
    }
  }

  test('where the archive denies listing: 203', async () => {
    const cluster = await holding(NAMES);
    const store = directoryStore(cluster.archive);
    standIn(store.url, new Unlistable(store));
    expect(await fetch(cluster, AFTER_ALL)).toMatchObject({ status: 203 });
  });

  test('where the file`s own directory became something else: not 1', async () => {
    const cluster = await holding(NAMES);
    const directory = dirname(cluster.objectPath(FIRST));
    rmSync(directory, { recursive: true });
    writeFileSync(directory, 'a file');
    const said = await fetch(cluster, AFTER_ALL);
    expect(said.status).toBeGreaterThan(125);
  });
});

test('00000001.history is asked for like any other by hand, and never found', async () => {
  const cluster = await holding([FIRST]);
  removePath(cluster.objectPath(FIRST));
  mkdirSync(join(cluster.archive, cluster.systemId, 'aside'), { recursive: true });
  writeFileSync(join(cluster.archive, cluster.systemId, 'aside', `${LAST}.${'0'.repeat(64)}`), 'x');
  expect(
    await call(['wal-fetch', '--config', cluster.config, '00000001.history', cluster.walPath('RECOVERYHISTORY')]),
  ).toMatchObject({
    status: 1,
  });
});
