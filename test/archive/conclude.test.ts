import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { Archive } from '../../src/archive/archives.ts';
import { conclude, type Result } from '../../src/archive/store.ts';
import { Failure, PUSH_PRECEDENCE, STATUS, type FailureKind } from '../../src/exit.ts';
import { MemoryStorage } from '../storage/memory.ts';

const storage = new MemoryStorage();

function archive(required: boolean): Archive {
  return { settings: { url: storage.url, scheme: 'file', required, mode: 'push' }, storage };
}

const good = fc.constantFrom('stored' as const, 'identical' as const, 'aside' as const);
const kinds = fc.constantFrom(...PUSH_PRECEDENCE);

function failed(required: boolean, kind: FailureKind, fact: string): Result {
  return { archive: archive(required), is: 'failed', failure: new Failure(kind, fact, { hint: `hint of ${fact}` }) };
}

/** Results with facts that tell them apart. */
function results(minLength: number) {
  const one = fc.record({ required: fc.boolean(), kind: fc.option(kinds), is: good });
  return fc
    .array(one, { minLength, maxLength: 6 })
    .map((all) =>
      all.map(({ required, kind, is }, index): Result =>
        kind === null ? { archive: archive(required), is } : failed(required, kind, `failure ${index}`),
      ),
    );
}

function blocking(all: readonly Result[]): Failure[] {
  return all.flatMap((result) => (result.is === 'failed' && result.archive.settings.required ? [result.failure] : []));
}

function thrown(all: readonly Result[]): Failure | undefined {
  try {
    conclude(all);
    return undefined;
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
}

describe('the results of several archives', () => {
  test('are a success if and only if no required archive failed', () => {
    fc.assert(
      fc.property(results(1), (all) => {
        expect(thrown(all) === undefined).toBe(blocking(all).length === 0);
      }),
    );
  });

  test('of a success: the failures of the others, in their order', () => {
    fc.assert(
      fc.property(results(1), (all) => {
        fc.pre(blocking(all).length === 0);
        const told = conclude(all).map((failure) => failure.message);
        expect(told).toEqual(all.flatMap((result) => (result.is === 'failed' ? [result.failure.message] : [])));
      }),
    );
  });

  test('end with the first kind of the precedence among the required ones, whatever the order and the others', () => {
    fc.assert(
      fc.property(results(1), (all) => {
        fc.pre(blocking(all).length > 0);
        const gravest = PUSH_PRECEDENCE.find((kind) => blocking(all).some((failure) => failure.kind === kind));
        expect(thrown(all)?.kind).toBe(gravest);
        expect(thrown(all.toReversed())?.kind).toBe(gravest);
      }),
    );
  });

  test('tell of each archive, and give the hint of the one that decided', () => {
    fc.assert(
      fc.property(results(2), (all) => {
        fc.pre(blocking(all).length > 0);
        const failure = thrown(all);
        for (const result of all) {
          expect(failure?.message).toContain(result.is === 'failed' ? result.failure.message : `: ${result.is}`);
        }
        const deciding = blocking(all).find((one) => one.kind === failure?.kind);
        expect(failure?.hint).toBe(deciding?.hint);
      }),
    );
  });
});

test('the precedence is 73, 74, 65, 77, 64, 75, 69', () => {
  expect(PUSH_PRECEDENCE.map((kind) => STATUS[kind].push)).toEqual([73, 74, 65, 77, 64, 75, 69]);
});

test('a kind that no precedence names is not lost', () => {
  expect(thrown([failed(true, 'no-key', 'a failure')])?.kind).toBe('no-key');
  expect(thrown([failed(true, 'no-key', 'one'), failed(true, 'unreachable', 'other')])?.kind).toBe('unreachable');
});
