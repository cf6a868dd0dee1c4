import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { takeInventory } from '../../src/retention/inventory.ts';
import { readSegmentKey } from '../../src/retention/segment-key.ts';
import { SegmentList } from '../../src/retention/segment-list.ts';
import type { ListedObject } from '../../src/storage/storage.ts';
import { asideKey, objectKey, parseKey, walPrefix } from '../../src/wal/keys.ts';
import { parseSystemId } from '../../src/wal/control.ts';
import { parseWalName, toSegmentSize, toTimelineId } from '../../src/wal/name.ts';
import { anyName, known } from '../wal/arbitraries.ts';
import { rejection } from './failure.ts';
import { keyOf, MEGABYTES_16, SYSTEM } from './life.ts';

const OTHER = known(parseSystemId('7322222222222222222'));
const CHOSEN = { systemId: SYSTEM, segmentSize: MEGABYTES_16 };

async function* pages(keys: readonly string[], size = 1000): AsyncGenerator<readonly ListedObject[]> {
  for (const key of keys) yield [{ key, size, modified: new Date(1000) }];
}

describe('the inventory', () => {
  test('sorts what is there by timelines, and names what it does not touch', async () => {
    const name = known(parseWalName('000000020000000000000001'));
    const inventory = await takeInventory(
      pages([
        keyOf('000000020000000100000000'),
        keyOf('0000000200000000000000FF'),
        keyOf('000000010000000000000001'),
        keyOf('000000010000000000000002.partial'),
        keyOf('000000010000000000000001.00000028.backup'),
        keyOf('00000002.history'),
        asideKey(SYSTEM, name, 'ab'.repeat(32)),
        objectKey(OTHER, name),
        `${SYSTEM}/wal/README`,
        `${SYSTEM}/wal/0000000100000000/000000020000000000000001`,
        'tmp/000000010000000000000009.123',
        'notes.txt',
      ]),
      CHOSEN,
    );
    const told = [...inventory.timelines].map(([timeline, { segments, beside }]) => ({
      timeline,
      segments: Array.from({ length: segments.count }, (_, index) => segments.numberAt(index)),
      beside: beside.map((side) => side.name.name),
    }));
    expect(told).toEqual([
      {
        timeline: 1,
        segments: [1],
        beside: ['000000010000000000000001.00000028.backup', '000000010000000000000002.partial'],
      },
      { timeline: 2, segments: [255, 256], beside: [] },
    ]);
    expect(inventory.histories.map((history) => history.name.name)).toEqual(['00000002.history']);
    expect(inventory.untouched).toMatchObject({
      unknown: {
        count: 3,
        first: [`${SYSTEM}/wal/0000000100000000/000000020000000000000001`, `${SYSTEM}/wal/README`, 'notes.txt'],
      },
      aside: { count: 1 },
      temporary: { count: 1, first: ['tmp/000000010000000000000009.123'] },
    });
    expect([...inventory.untouched.otherSystems.keys()]).toEqual([OTHER]);
  });

  test('names the first hundred of what it does not touch, however many there are', async () => {
    const keys = Array.from({ length: 3000 }, (_, index) => `unknown-${String(9999 - index)}`);
    const { untouched } = await takeInventory(pages(keys), CHOSEN);
    expect(untouched.unknown.count).toBe(3000);
    expect(untouched.unknown.first).toEqual(
      Array.from({ length: 100 }, (_, index) => `unknown-${String(7000 + index)}`),
    );
  });

  test('takes the only cluster where none is chosen, and refuses to choose between two', async () => {
    const [name, options] = [known(parseWalName('000000010000000000000001')), { ...CHOSEN, systemId: undefined }];
    expect((await takeInventory(pages([objectKey(OTHER, name)]), options)).systemId).toBe(OTHER);
    const failure = await rejection(takeInventory(pages([objectKey(OTHER, name), objectKey(SYSTEM, name)]), options));
    expect(failure).toMatchObject({ kind: 'usage', hint: 'Choose one with --system-id.' });
    expect(failure.message).toContain(`${SYSTEM}, ${OTHER}`);
    expect((await rejection(takeInventory(pages(['notes.txt']), options))).message).toContain('no WAL of any cluster');
  });

  test.each([
    ['a segment', '000000010000000000000100', 1000],
    ['a .partial', '000000010000000000000100.partial', 1000],
    ['a .backup', '000000010000000000000100.00000028.backup', 1000],
    ['a segment that is too large for one', '000000010000000000000001', 2 ** 24 * 1.1],
  ])('%s of another segment size is refused', async (_, name, size) => {
    const failure = await rejection(takeInventory(pages([keyOf(name)], size), CHOSEN));
    expect(failure.kind).toBe('invalid');
    expect(failure.message).toContain(name);
    expect(failure.hint).toContain('two sizes');
  });

  test("another cluster's segments may have another size", async () => {
    const name = known(parseWalName('000000010000000000000100'));
    await expect(takeInventory(pages([objectKey(OTHER, name)]), CHOSEN)).resolves.toBeDefined();
  });

  test('a listing that breaks off breaks off the inventory', async () => {
    async function* broken(): AsyncGenerator<readonly ListedObject[]> {
      yield* pages([keyOf('000000010000000000000001')]);
      throw new Error('the listing was cut short');
    }
    await expect(takeInventory(broken(), CHOSEN)).rejects.toThrow('cut short');
  });

  test('is the same in whatever order, and however often, objects are told', async () => {
    const names = Array.from(
      { length: 30 },
      (_, index) =>
        `${index % 2 === 0 ? '00000001' : '00000002'}00000000000000${(index + 16).toString(16).toUpperCase()}`,
    );
    const show = async (keys: readonly string[]): Promise<unknown> => {
      const { timelines } = await takeInventory(pages(keys), { ...CHOSEN, segmentSize: known(toSegmentSize(2 ** 24)) });
      return [...timelines].map(([id, { segments }]) => [
        id,
        Array.from({ length: segments.count }, (_, at) => segments.numberAt(at)),
      ]);
    };
    const inOrder = await show(names.map(keyOf).sort());
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray([...names, ...names], { minLength: 60 }), async (some) => {
        expect(await show(some.map(keyOf))).toEqual(inOrder);
      }),
      { numRuns: 20 },
    );
  });
});

test('the short way to read a key says what parseKey says', () => {
  const into = { timeline: 0, log: 0, seg: 0 };
  const anyKey = fc.oneof(
    anyName.map((name) => objectKey(SYSTEM, name)),
    fc.tuple(anyName, fc.nat(80), fc.constantFrom('0', 'F', 'a', '/', 'G')).map(([name, at, char]) => {
      const key = objectKey(SYSTEM, name);
      return key.slice(0, at) + char + key.slice(at + 1);
    }),
  );
  fc.assert(
    fc.property(anyKey, (key) => {
      const parsed = parseKey(key);
      const isSegment = parsed?.place === 'wal' && parsed.system === SYSTEM && parsed.name.kind === 'segment';
      expect(readSegmentKey(key, walPrefix(SYSTEM), into)).toBe(isSegment);
      if (isSegment) expect(parsed.name).toMatchObject({ ...into, timeline: toTimelineId(into.timeline) });
    }),
    { numRuns: 2000 },
  );
});

describe('a list of segments', () => {
  test('finds runs as a set would', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(60), { maxLength: 60 }), fc.nat(61), (numbers, from) => {
        const list = new SegmentList();
        for (const number of numbers) list.add(number, number, number);
        list.sort();
        const set = new Set(numbers);
        let end = from;
        while (set.has(end)) end += 1;
        expect(list.count).toBe(set.size);
        expect(list.runEnd(from)).toBe(end);
        expect(list.indexOf(from) !== undefined).toBe(set.has(from));
        expect(list.indexFrom(from)).toBe([...set].filter((number) => number < from).length);
        expect(list.bytesBetween(0, list.count)).toBe([...set].reduce((sum, number) => sum + number, 0));
        expect(list.firstYounger(from)).toBe([...set].sort((a, b) => a - b).find((number) => number > from));
      }),
    );
  });
});
