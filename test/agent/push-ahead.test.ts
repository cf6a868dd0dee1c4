import { readFileSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';

import { StorageError } from '../../src/storage/errors.ts';
import { objectKey } from '../../src/wal/keys.ts';
import { MIB, requireName } from '../harness/cluster.ts';
import { waitFor } from '../harness/wait.ts';
import {
  makeWaiting,
  markDone,
  markReady,
  openWorkshop,
  segmentName,
  untilTaken,
  WatchedStorage,
  type Workshop,
} from './workshop.ts';

/** What waits goes to the stores in the order of the names, and only behind what the server asked for. */

test('what waits behind the file that was asked for is pushed ahead, in order', async () => {
  const { cluster, store, ask } = await openWorkshop();
  const names = makeWaiting(cluster, 6);
  expect(await ask(segmentName(1))).toEqual([]);
  await untilTaken(store, 6);
  expect(store.taken).toEqual(names);
  for (const name of names) {
    await ask(name);
    markDone(cluster, name);
  }
  expect(store.taken).toEqual(names);
});

test('nothing is pushed before the file that was asked for has its name', async () => {
  const { cluster, store, ask } = await openWorkshop();
  makeWaiting(cluster, 4);
  const gate = Promise.withResolvers<undefined>();
  const seen: string[] = [];
  store.before = async (name) => {
    seen.push(name);
    await gate.promise;
  };
  const asked = ask(segmentName(1));
  await waitFor('the first create', () => seen.length === 1);
  await turns();
  expect(seen).toEqual([segmentName(1)]);
  gate.resolve(undefined);
  await asked;
  await untilTaken(store, 4);
});

test('at most 32 files are pushed ahead of the one that was asked for', async () => {
  const { cluster, store, ask } = await openWorkshop();
  const names = makeWaiting(cluster, 40);
  await ask(segmentName(1));
  await untilTaken(store, 33);
  await turns();
  expect(store.taken).toEqual(names.slice(0, 33));
  await ask(segmentName(2));
  await untilTaken(store, 34);
});

describe('a store that fails', () => {
  test('after an outage the same agent goes on', async () => {
    const { cluster, store, ask } = await openWorkshop();
    const names = makeWaiting(cluster, 5);
    let isAway = true;
    store.before = () => (isAway ? Promise.reject(new StorageError('unreachable', 'away')) : Promise.resolve());
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      await expect(ask(segmentName(1))).rejects.toMatchObject({ kind: 'unreachable' });
    }
    isAway = false;
    for (const name of names) await ask(name);
    expect(store.taken).toEqual(names);
  });

  test('a sibling that fails ahead of its time is pushed when it is asked for', async () => {
    const { cluster, store, ask } = await openWorkshop();
    const names = makeWaiting(cluster, 6);
    let failures = 0;
    store.before = (name) => {
      if (name !== segmentName(3) || failures > 0) return Promise.resolve();
      failures += 1;
      return Promise.reject(new StorageError('unreachable', 'away'));
    };
    for (const name of names) {
      expect(await ask(name)).toEqual([]);
      await turns();
    }
    expect(failures).toBe(1);
    expect(store.taken).toEqual(names);
  });

  test('a sibling that hangs holds up nobody but those behind it, and is not waited for', async () => {
    const { cluster, store, ask } = await openWorkshop({ agent: { workers: 1, memory: 1 } });
    makeWaiting(cluster, 4);
    let hangs = 0;
    store.before = (name) => {
      if (name !== segmentName(3)) return Promise.resolve();
      hangs += 1;
      return new Promise<void>(() => undefined);
    };
    await ask(segmentName(1));
    await waitFor('the third file to hang', () => hangs === 1);
    expect(await ask(segmentName(2))).toEqual([]);
    cluster.walFile('00000002.history', '1\t0/3000000\twhy\n');
    expect(await ask('00000002.history')).toEqual([]);
    // By hand, past what hangs: it waits for nobody, though it would be behind.
    expect(await ask(segmentName(4))).toEqual([]);
  });
});

describe('a refusal', () => {
  test('in the middle of what waits ends it: nothing behind it takes a name', async () => {
    const store = new WatchedStorage();
    const one = await openWorkshop({ store });
    const other = await openWorkshop({ store, beside: one.cluster, systemId: one.cluster.systemId });
    makeWaiting(one.cluster, 3);
    for (const name of [1, 2, 3].map((number) => segmentName(number))) await one.ask(name);
    makeWaiting(other.cluster, 6);
    other.cluster.segment(segmentName(3), { seed: 'another content' });

    await other.ask(segmentName(1));
    await turns();
    await other.ask(segmentName(2));
    await expect(other.ask(segmentName(3))).rejects.toMatchObject({ kind: 'different' });
    await turns();
    // The server asks again and again.
    await expect(other.ask(segmentName(3))).rejects.toMatchObject({ kind: 'different' });
    await other.ask(segmentName(2));
    await turns();
    expect(store.taken).toEqual([1, 2, 3].map((number) => segmentName(number)));
  });

  test('because of its content ends it, too', async () => {
    const { cluster, store, ask } = await openWorkshop();
    makeWaiting(cluster, 5);
    cluster.segment(segmentName(3), { header: { systemId: '7000000000000000001' } });
    await ask(segmentName(1));
    await untilTaken(store, 2);
    await ask(segmentName(2));
    await expect(ask(segmentName(3))).rejects.toMatchObject({ kind: 'invalid' });
    await turns();
    expect(store.taken).toEqual([segmentName(1), segmentName(2)]);
    cluster.segment(segmentName(3));
    await ask(segmentName(3));
    await untilTaken(store, 5);
  });

  test('that is certain costs no work: neither the file is sealed ahead of its time, nor what waits behind it', async () => {
    const { cluster, ask } = await openWorkshop();
    const waiting = 30;
    makeWaiting(cluster, waiting);
    cluster.segment(segmentName(2), { header: { systemId: '7000000000000000001' } });
    const before = bytesRead();
    await ask(segmentName(1));
    await expect(ask(segmentName(2))).rejects.toMatchObject({ kind: 'invalid' });
    await untilNothingIsRead();
    // The two, and what a few behind them had begun with when it was found.
    expect(bytesRead() - before).toBeLessThan((waiting / 3) * MIB);
  });

  test('in one archive does not end it in another, and is told', async () => {
    const { cluster, store: first, second, ask } = await openWorkshop({ required: [true, true] });
    makeWaiting(cluster, 4);
    const strange = await openWorkshop({
      store: second,
      beside: cluster,
      systemId: cluster.systemId,
    });
    strange.cluster.segment(segmentName(3), { seed: 'another content' });
    await strange.ask(segmentName(3));

    await ask(segmentName(1));
    await ask(segmentName(2));
    await expect(ask(segmentName(3))).rejects.toMatchObject({ kind: 'different' });
    await turns();
    expect(first.taken).toEqual([1, 2, 3].map((number) => segmentName(number)));
    expect(second.taken).toEqual([3, 1, 2].map((number) => segmentName(number)));
  });
});

describe('a claim', () => {
  test('is bound to the bytes: what was changed after it was pushed ahead is looked at anew', async () => {
    const { cluster, store, ask } = await openWorkshop();
    makeWaiting(cluster, 3);
    await ask(segmentName(1));
    await untilTaken(store, 3);
    const bytes = readFileSync(cluster.walPath(segmentName(2)));
    bytes[bytes.length / 2] = (bytes[bytes.length / 2] ?? 0) ^ 1;
    writeFileSync(cluster.walPath(segmentName(2)), bytes);
    await expect(ask(segmentName(2))).rejects.toMatchObject({ kind: 'different' });
  });

  test('is not made for a file that changes while it is read', async () => {
    const { cluster, store, ask } = await openWorkshop();
    makeWaiting(cluster, 1);
    store.before = (name) => {
      cluster.segment(name, { seed: 'another content' });
      return Promise.resolve();
    };
    await expect(ask(segmentName(1))).rejects.toMatchObject({ kind: 'unreachable' });
    await expect(ask(segmentName(1))).rejects.toMatchObject({ kind: 'different' });
  });

  test('is forgotten with the server that it was made under', async () => {
    const { cluster, store, ask, pushAhead } = await openWorkshop();
    makeWaiting(cluster, 3);
    await ask(segmentName(1));
    await untilTaken(store, 3);
    pushAhead.forget();
    store.objects.delete(objectKey(cluster.systemId, requireName(segmentName(2))));
    await ask(segmentName(2));
    expect(store.taken.filter((name) => name === segmentName(2))).toHaveLength(2);
  });
});

describe('other files', () => {
  test('history, backup history and partial files are pushed as they are asked for, and never ahead', async () => {
    const { cluster, store, ask } = await openWorkshop();
    makeWaiting(cluster, 3);
    const backup = `${segmentName(1)}.00000028.backup`;
    const partial = `${segmentName(4)}.partial`;
    cluster.walFile('00000002.history', '1\t0/3000000\twhy\n');
    cluster.walFile(backup, 'START WAL LOCATION: 0/100028 (file 000000010000000000000001)\n');
    cluster.segment(partial);
    for (const name of ['00000002.history', backup, partial]) markReady(cluster, name);

    await ask(segmentName(1));
    await untilTaken(store, 3);
    await turns();
    expect(store.taken).toEqual([1, 2, 3].map((number) => segmentName(number)));
    for (const name of ['00000002.history', backup, partial]) expect(await ask(name)).toEqual([]);
    expect(store.taken.slice(3)).toEqual(['00000002.history', backup, partial]);
  });

  test('of another timeline are not touched', async () => {
    const { cluster, store, ask } = await openWorkshop();
    makeWaiting(cluster, 2);
    cluster.segment(segmentName(3, 2));
    markReady(cluster, segmentName(3, 2));
    await ask(segmentName(1));
    await untilTaken(store, 2);
    await turns();
    expect(store.taken).toEqual([segmentName(1), segmentName(2)]);
  });
});

describe('an archive that is not required', () => {
  test('and away costs its warning, once for all that wait', async () => {
    const { cluster, store: first, second, ask } = await openWorkshop({ required: [true, false], deadlineMs: 400 });
    const names = makeWaiting(cluster, 4);
    second.before = (_name, deadline) => deadline.race(new Promise<void>(() => undefined));
    for (const name of names) expect((await ask(name)).join()).toContain('not required');
    expect(first.taken).toEqual(names);
    expect(second.taken).toEqual([]);
  });
});

test('a server on its way down leaves what is under way little time', async () => {
  const { cluster, store, ask, pushAhead } = await openWorkshop();
  makeWaiting(cluster, 1);
  let isInside = false;
  store.before = (_name, deadline) => {
    isInside = true;
    return deadline.race(new Promise<void>(() => undefined));
  };
  const asked = ask(segmentName(1));
  await waitFor('the create', () => isInside);
  pushAhead.hurry(10);
  await expect(asked).rejects.toMatchObject({ kind: 'unreachable' });
});

/** Time for what is not to happen: all that needs no timer is done by then. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

test('two copies that drain into one store at once never splice: all from the first difference on is of one', async () => {
  for (let round = 0; round < 4; round += 1) {
    const store = new WatchedStorage();
    const other = new WatchedStorage(store);
    const original = await openWorkshop({ store });
    const copy = await openWorkshop({
      store: other,
      beside: original.cluster,
      systemId: original.cluster.systemId,
    });
    // The same up to where the copy was made; from there on each writes its own.
    for (const { cluster } of [original, copy]) makeWaiting(cluster, 2, 1);
    makeWaiting(original.cluster, 5, 3, 'original');
    makeWaiting(copy.cluster, 5, 3, 'copy');
    for (const one of [store, other]) {
      one.before = async () => {
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 4));
      };
    }
    await Promise.all([drain(original), drain(copy)]);
    await turns();
    const own = (taken: readonly string[]): string[] => taken.filter((name) => name >= segmentName(3)).toSorted();
    const [most, least] = [own(store.taken), own(other.taken)].toSorted((a, b) => b.length - a.length);
    expect(most, `round ${round}`).toEqual([3, 4, 5, 6, 7].map((number) => segmentName(number)));
    expect(least, `round ${round}`).toEqual([]);
  }
});

/** As the archiver does: one after the other, until one is refused. */
async function drain({ ask, cluster }: Workshop): Promise<void> {
  try {
    for (let number = 1; number <= 7; number += 1) {
      await ask(segmentName(number));
      markDone(cluster, segmentName(number));
    }
  } catch (error) {
    expect(error).toMatchObject({ kind: 'different' });
  }
}

/** By all read(2) of this process, whatever of: proc(5). */
function bytesRead(): number {
  return Number(/^rchar: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
}

/** Until a fifth of a second goes by in which hardly anything is read. */
async function untilNothingIsRead(): Promise<void> {
  let seen = { bytes: bytesRead(), at: performance.now() };
  await waitFor('nothing to be read any more', () => {
    const bytes = bytesRead();
    if (bytes - seen.bytes > MIB / 2) seen = { bytes, at: performance.now() };
    return performance.now() - seen.at > 200;
  });
}
