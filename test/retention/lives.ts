import fc from 'fast-check';

import type { Policy } from '../../src/retention/policy.ts';
import { HOUR_MS, Life } from './life.ts';
import { DAY_MS } from './prune.ts';

const anyServer = fc.nat(20);
const someBytes = fc.bigInt({ min: 1n, max: 6n * 2n ** 24n });
/** Often some bytes, often a whole number of segments. */
const anyBytes = fc.oneof(
  someBytes,
  fc.bigInt({ min: 1n, max: 6n }).map((segments) => segments * 2n ** 24n),
);

/** An event as a counterexample shows it, and as a named case can repeat it. */
class Event {
  readonly text: string;
  readonly happen: (life: Life) => void;

  constructor(happen: (life: Life) => void, text: string) {
    this.text = text;
    this.happen = happen;
  }
}

const anyEvent: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(anyServer, anyBytes)
      .map(([who, bytes]) => new Event((life) => life.write(who, bytes), `write(${who}, ${bytes}n)`)),
  },
  {
    weight: 2,
    arbitrary: fc.integer({ min: 1, max: 400 }).map((hours) => new Event((life) => life.wait(hours), `wait(${hours})`)),
  },
  { weight: 1, arbitrary: anyServer.map((who) => new Event((life) => life.promote(who), `promote(${who})`)) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(anyServer, fc.oneof(anyBytes, fc.constant(12n * 2n ** 24n)), fc.boolean())
      .map(
        ([who, back, even]) => new Event((life) => life.recover(who, back, even), `recover(${who}, ${back}n, ${even})`),
      ),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(anyServer, anyBytes, fc.constantFrom('primary' as const, 'standby' as const), fc.boolean())
      .map(([who, bytes, from, brings]) => {
        const text = `backup(${who}, { bytes: ${bytes}n, from: '${from}', brings: ${brings} })`;
        return new Event((life) => life.backup(who, { bytes, from, brings }), text);
      }),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(anyServer, anyBytes)
      .map(([who, bytes]) => new Event((life) => life.increment(who, bytes), `increment(${who}, ${bytes}n)`)),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(anyServer, anyBytes)
      .map(([who, before]) => new Event((life) => life.backupOver(who, before), `backupOver(${who}, ${before}n)`)),
  },
  { weight: 1, arbitrary: fc.nat(1000).map((which) => new Event((life) => life.lose(which), `lose(${which})`)) },
  { weight: 1, arbitrary: fc.nat(1000).map((which) => new Event((life) => life.touch(which), `touch(${which})`)) },
);

/** Events may be taken out one by one, so that a counterexample shrinks to the few that matter. */
export const anyLife: fc.Arbitrary<Life> = fc
  .tuple(fc.constantFrom(1, 5), fc.array(anyEvent, { minLength: 3, maxLength: 40, size: 'max' }))
  .map(([first, events]) => {
    const life = new Life(first);
    for (const event of events) event.happen(life);
    return Object.assign(life, {
      [fc.toStringMethod]: () => [`new Life(${first})`, ...events.map(({ text }) => `life.${text}`)].join('; '),
    });
  });

export const anyPolicy: fc.Arbitrary<Policy> = fc
  .record({
    backups: fc.option(fc.integer({ min: 1, max: 3 })),
    days: fc.option(fc.integer({ min: 1, max: 40 })),
    keepWalMs: fc.oneof(
      fc.constant(0),
      fc.integer({ min: 0, max: 14 }).map((days) => days * DAY_MS),
    ),
    strayAfterMs: fc.integer({ min: 1, max: 60 * 24 }).map((hours) => hours * HOUR_MS),
    keep: fc.constantFrom([], ['increment *'], ['standby ?', '*/1']),
  })
  .map(({ backups, days, ...rest }) => ({
    ...rest,
    ...(days !== null && { keepDays: days }),
    ...((backups !== null || days === null) && { keepBackups: backups ?? 1 }),
  }));
