import * as fc from 'fast-check';
import { expect, test } from 'vitest';

import { Gate, Place } from '../../src/agent/gates.ts';

/** What may happen to a gate, in any order. */
const events = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('come' as const), isUrgent: fc.boolean() }),
    fc.record({ do: fc.constant('leave' as const), which: fc.nat() }),
    fc.record({ do: fc.constant('hurry' as const), which: fc.nat() }),
    fc.record({ do: fc.constant('width' as const), width: fc.integer({ min: 1, max: 4 }) }),
  ),
  { maxLength: 60 },
);

interface Visitor {
  readonly number: number;
  isInside: boolean;
  isUrgent: boolean;
  readonly leave: () => void;
  readonly hurry: () => void;
  readonly gone: Promise<void>;
}

test('a gate lets in as many as it is wide, in their order, and whoever is urgent at once', async () => {
  await fc.assert(
    fc.asyncProperty(events, async (happenings) => {
      const gate = new Gate(1);
      let width = 1;
      let widest = 1;
      const visitors: Visitor[] = [];
      const admitted: number[] = [];
      for (const event of happenings) {
        if (event.do === 'come') visitors.push(visit(gate, visitors.length, event.isUrgent, admitted));
        else if (event.do === 'width') gate.width = width = event.width;
        else pick(visitors, event.which, event.do);
        widest = Math.max(widest, width);
        await settled();
        const inside = visitors.filter(({ isInside, isUrgent }) => isInside && !isUrgent);
        // Those who are inside stay when it gets narrower.
        expect(inside.length).toBeLessThanOrEqual(widest);
        expect(visitors.filter(({ isUrgent, number }) => isUrgent && !admitted.includes(number))).toEqual([]);
        const waiting = visitors.filter(({ number }) => !admitted.includes(number));
        if (waiting.length > 0) expect(visitors.some(({ isInside }) => isInside)).toBe(true);
        const patient = admitted.filter((number) => visitors[number]?.isUrgent === false);
        expect(patient).toEqual(patient.toSorted((a, b) => a - b));
      }
      for (const { leave } of visitors) leave();
      // Nobody is forgotten.
      await Promise.all(visitors.map(({ gone }) => gone));
      expect(admitted.toSorted((a, b) => a - b)).toEqual(visitors.map(({ number }) => number));
    }),
    { numRuns: 200 },
  );
});

function visit(gate: Gate, number: number, isUrgent: boolean, admitted: number[]): Visitor {
  const left = Promise.withResolvers<undefined>();
  const urgent = Promise.withResolvers<undefined>();
  if (isUrgent) urgent.resolve(undefined);
  const act = async (): Promise<void> => {
    visitor.isInside = true;
    admitted.push(number);
    await left.promise;
    visitor.isInside = false;
  };
  const visitor: Visitor = {
    number,
    isInside: false,
    isUrgent,
    leave: () => {
      left.resolve(undefined);
    },
    hurry: () => {
      urgent.resolve(undefined);
      visitor.isUrgent = true;
    },
    gone: Promise.resolve().then(() => gate.through(act, urgent.promise)),
  };
  return visitor;
}

function pick(visitors: readonly Visitor[], which: number, what: 'leave' | 'hurry'): void {
  visitors[which % Math.max(1, visitors.length)]?.[what]();
}

const settled = (): Promise<void> =>
  new Promise((resolve) => {
    setImmediate(resolve);
  });

test('a gate passes on what is returned and thrown, and lets the next one in after either', async () => {
  const gate = new Gate(1);
  const never = new Promise<never>(() => undefined);
  const failing = gate.through(() => Promise.reject(new Error('failed')), never);
  const next = gate.through(() => Promise.resolve('through'), never);
  await expect(failing).rejects.toThrow('failed');
  expect(await next).toBe('through');
});

test('a place is clear as the one before says, and the first word counts', async () => {
  const first = new Place(undefined);
  const second = new Place(first);
  const third = new Place(second);
  expect(await first.isClear).toBe(true);
  first.leave(true);
  first.leave(false);
  second.leave(false);
  second.leave(true);
  expect(await second.isClear).toBe(true);
  expect(await third.isClear).toBe(false);
});
