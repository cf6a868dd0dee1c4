import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { Failure } from '../../src/exit.ts';
import type { Plan } from '../../src/retention/plan.ts';
import type { Policy } from '../../src/retention/policy.ts';
import type { Remains } from './life.ts';
import { known } from '../wal/arbitraries.ts';
import { anyLife, anyPolicy } from './lives.ts';
import { historyOf, Left, numberOf, opens, recover, recoveries, wayNumbers, type Recovery } from './oracle.ts';
import { DAY_MS, gone, prune } from './prune.ts';

/** A plan, or undefined where there is none to be had: most often no backup is restorable. */
async function tryPrune(remains: Remains, policy: Policy): Promise<Plan | undefined> {
  try {
    return await prune(remains, policy);
  } catch (error) {
    if (error instanceof Failure) return undefined;
    throw error;
  }
}

/** What is there when the first so many of `deleted` are gone. */
function after(remains: Remains, deleted: readonly string[], count = deleted.length): Left {
  const dead = new Set(deleted.slice(0, count));
  return new Left([...remains.objects.keys()].filter((name) => !dead.has(name)));
}

function losses(before: Map<number, Recovery>, now: Map<number, Recovery>): string[] {
  return [...before].flatMap(([target, { moments, isConsistent, isLedAstray }]) => {
    const left = now.get(target);
    const lost = [...moments]
      .filter((moment) => !left?.moments.has(moment))
      .map((moment) => `${moment} on the way to ${target}`);
    if (left?.isConsistent !== isConsistent) lost.push(`consistency on the way to ${target}`);
    if (left?.isLedAstray === true && !isLedAstray) lost.push(`the right way to ${target}`);
    return lost;
  });
}

function isRestorable(recoveries: Map<number, Recovery>): boolean {
  return [...recoveries.values()].some(({ isConsistent }) => isConsistent);
}

/** By timeline; of those that have one. */
function newestSegments(names: Iterable<string>): Map<number, string> {
  const newest = new Map<number, string>();
  for (const name of [...names].filter(({ length }) => length === 24).sort())
    newest.set(parseInt(name.slice(0, 8), 16), name);
  return newest;
}

/** Whether these are the last ones of all, in their order. */
function isEnd(some: readonly bigint[], all: readonly bigint[]): boolean {
  return some.every((number, index) => number === all[all.length - some.length + index]);
}

function timelinesOf(remains: Remains): number[] {
  const names = [...remains.objects.keys()].map((name) => parseInt(name.slice(0, 8), 16));
  return [...new Set([...names, ...remains.histories.keys()])];
}

/** What a plan never does, in so many lives that are made up. */
export function describePlans(numRuns: number): void {
  const runs = { numRuns };
  const timeout = 60_000 + numRuns * 100;

  describe('whatever has happened, and whatever is asked for', () => {
    test(
      'a kept backup loses no moment, is led astray nowhere, and the policy names only what can be restored',
      { timeout },
      async () => {
        await fc.assert(
          fc.asyncProperty(anyLife, anyPolicy, async (life, policy) => {
            const remains = life.remains();
            const plan = await tryPrune(remains, policy);
            if (plan === undefined) return;
            const left = after(remains, gone(plan));
            for (const { assessed } of plan.kept) {
              const before = recoveries(assessed.backup, remains, after(remains, []));
              expect(losses(before, recoveries(assessed.backup, remains, left))).toEqual([]);
              if (assessed.problems.length === 0) expect(isRestorable(before)).toBe(true);
            }
          }),
          runs,
        );
      },
    );

    test('what the assessment promises of each backup is what a server can reach', { timeout }, async () => {
      await fc.assert(
        fc.asyncProperty(anyLife, anyPolicy, async (life, policy) => {
          const remains = life.remains();
          const plan = await tryPrune(remains, policy);
          for (const { backup, problems, windows, chain } of plan?.assessment.backups ?? []) {
            const reached = recoveries(backup, remains, after(remains, []));
            if (chain.problems.length === 0) expect(problems.length === 0).toBe(isRestorable(reached));
            if (problems.length > 0) continue;
            for (const [target, { moments, isConsistent }] of reached) {
              const last = [...moments].at(-1);
              const number = last === undefined ? -1n : BigInt(last.split('/')[1] ?? '');
              const window = windows.find(({ timeline }) => timeline === target);
              // A target of which it gets no byte has no window: its parent's tells the same.
              if (window === undefined) expect(!isConsistent || last?.startsWith(`${target}/`) !== true).toBe(true);
              else expect(window.end).toBe((number + 1n) * 2n ** 24n);
            }
          }
        }),
        runs,
      );
    });

    test(
      'no history file goes, nothing that is not listed, nothing young, and nothing twice',
      { timeout },
      async () => {
        await fc.assert(
          fc.asyncProperty(anyLife, anyPolicy, async (life, policy) => {
            const remains = life.remains();
            const plan = await tryPrune(remains, policy);
            if (plan === undefined) return;
            const names = gone(plan);
            expect(new Set(names).size).toBe(names.length);
            for (const name of names) {
              expect(name).not.toMatch(/history$/);
              expect(plan.now.getTime() - (remains.objects.get(name)?.modifiedMs ?? Infinity)).toBeGreaterThanOrEqual(
                policy.keepWalMs,
              );
            }
            const told = (decisions: Plan['deletes']): number => decisions.reduce((sum, { count }) => sum + count, 0);
            expect(told(plan.deletes)).toBe(names.length);
            expect(told(plan.keeps) + told(plan.deletes) + remains.histories.size).toBe(remains.objects.size);
          }),
          runs,
        );
      },
    );

    test('asking to keep more never deletes more', { timeout }, async () => {
      const anyMore = fc.record({
        backups: fc.nat(2),
        days: fc.nat(30),
        wal: fc.nat(5),
        stray: fc.nat(30),
        pin: fc.boolean(),
      });
      await fc.assert(
        fc.asyncProperty(anyLife, anyPolicy, anyMore, async (life, policy, more) => {
          const remains = life.remains();
          const little = await tryPrune(remains, policy);
          const much = await tryPrune(remains, {
            ...policy,
            ...(more.backups > 0 && { keepBackups: (policy.keepBackups ?? 0) + more.backups }),
            ...(more.days > 0 && { keepDays: (policy.keepDays ?? 0) + more.days }),
            keepWalMs: policy.keepWalMs + more.wal * DAY_MS,
            strayAfterMs: policy.strayAfterMs + more.stray * DAY_MS,
            keep: more.pin ? [...policy.keep, '*3'] : policy.keep,
          });
          if (little === undefined || much === undefined) return;
          const fewer = new Set(gone(little));
          expect(gone(much).filter((name) => !fewer.has(name))).toEqual([]);
        }),
        runs,
      );
    });

    test(
      'an interruption anywhere costs no kept backup a moment, tears no hole, and leads no backup astray',
      { timeout },
      async () => {
        await fc.assert(
          fc.asyncProperty(
            anyLife,
            anyPolicy,
            fc.double({ min: 0, max: 1, noNaN: true }),
            async (life, policy, part) => {
              const remains = life.remains();
              const plan = await tryPrune(remains, policy);
              if (plan === undefined) return;
              const names = gone(plan);
              const left = after(remains, names, Math.round(names.length * part));
              const kept = new Set(plan.kept.map(({ assessed }) => assessed.backup));
              for (const backup of remains.backups) {
                if (!kept.has(backup) && backup.ownWal.size > 0) continue;
                const lost = losses(recoveries(backup, remains, after(remains, [])), recoveries(backup, remains, left));
                expect(lost.filter((loss) => kept.has(backup) || loss.startsWith('the right way'))).toEqual([]);
              }
              const newest = new Set([...newestSegments(remains.objects.keys()).values()].map(numberOf));
              for (const target of timelinesOf(remains)) {
                const before = wayNumbers(target, remains, after(remains, []));
                const now = wayNumbers(target, remains, left);
                // What is left of a way is its newer end, with the holes that were there; of what goes, the newest
                // segment of a timeline stays.
                const end = now.findIndex((_, at) => isEnd(now.slice(at), before));
                const astray = end === -1 ? now : now.slice(0, end);
                expect(astray.filter((number) => !newest.has(number))).toEqual([]);
              }
            },
          ),
          runs,
        );
      },
    );

    test(
      'whatever is restored to wherever, at whatever moment of an --apply: it opens as it would have before, or not at all',
      { timeout },
      async () => {
        await fc.assert(
          fc.asyncProperty(
            anyLife,
            anyPolicy,
            fc.double({ min: 0, max: 1, noNaN: true }),
            async (life, policy, part) => {
              const remains = life.remains();
              const plan = await tryPrune(remains, policy);
              if (plan === undefined) return;
              const names = gone(plan);
              for (const left of [after(remains, names, Math.round(names.length * part)), after(remains, names)]) {
                for (const backup of remains.backups) {
                  const before = recoveries(backup, remains, after(remains, []));
                  for (const [target, recovery] of recoveries(backup, remains, left))
                    if (opens(recovery)) expect(recovery).toEqual(before.get(target));
                }
              }
            },
          ),
          runs,
        );
      },
    );

    test('every timeline keeps its newest segment, by which a gap before it can be proven', { timeout }, async () => {
      await fc.assert(
        fc.asyncProperty(anyLife, anyPolicy, async (life, policy) => {
          const remains = life.remains();
          const plan = await tryPrune(remains, policy);
          if (plan === undefined) return;
          const dead = new Set(gone(plan));
          const left = [...remains.objects.keys()].filter((name) => !dead.has(name));
          expect(newestSegments(left)).toEqual(newestSegments(remains.objects.keys()));
        }),
        runs,
      );
    });

    test(
      'within a timeline the oldest goes first, and a child before what its parent has behind the fork',
      { timeout },
      async () => {
        await fc.assert(
          fc.asyncProperty(anyLife, anyPolicy, async (life, policy) => {
            const plan = await tryPrune(life.remains(), policy);
            if (plan === undefined) return;
            const places = gone(plan).map((name) => ({
              timeline: parseInt(name.slice(0, 8), 16),
              number: numberOf(name),
            }));
            const last = new Map<number, bigint>();
            for (const { timeline, number } of places) {
              expect(number).toBeGreaterThanOrEqual(last.get(timeline) ?? 0n);
              last.set(timeline, number);
            }
            for (const { id, parent } of plan.assessment.timelines.values()) {
              if (parent === undefined) continue;
              const forkNumber = (parent.fork - 1n) / 2n ** 24n;
              const tail = places.findIndex(
                ({ timeline, number }) => timeline === parent.timeline && number > forkNumber,
              );
              const child = places.findLastIndex(({ timeline }) => timeline === id);
              if (tail >= 0) expect(child).toBeLessThan(tail);
            }
          }),
          runs,
        );
      },
    );

    test('any moment of the last days that could be reached can be reached by a kept backup', { timeout }, async () => {
      await fc.assert(
        fc.asyncProperty(anyLife, anyPolicy, async (life, policy) => {
          const remains = life.remains();
          const plan = await tryPrune(remains, policy);
          if (plan === undefined || policy.keepDays === undefined) return;
          const since = plan.now.getTime() - policy.keepDays * DAY_MS;
          const left = after(remains, gone(plan));
          const kept = new Set(plan.kept.map(({ assessed }) => assessed.backup));
          for (const { timeline: target, hasBackup } of plan.live) {
            const reach = (there: Left, who: (backup: (typeof remains.backups)[number]) => boolean): Set<string> =>
              new Set(
                plan.assessment.backups
                  .filter(({ backup, chain }) => chain.problems.length === 0 && who(backup))
                  .map(({ backup }) => ({ backup, recovery: recover(backup, target, remains.histories, there) }))
                  .filter(({ recovery }) => recovery.isConsistent)
                  // A moment before its stop can't be reached by a backup.
                  .flatMap(({ backup, recovery }) =>
                    [...recovery.moments].filter(
                      (moment) => (BigInt(moment.split('/')[1] ?? '') + 1n) * 2n ** 24n > backup.stop.lsn,
                    ),
                  ),
              );
            const wanted = [...reach(after(remains, []), () => true)].filter((moment) => {
              const [id = '', number = ''] = moment.split('/');
              const name = `${Number(id).toString(16).toUpperCase().padStart(8, '0')}${nameTail(BigInt(number))}`;
              return life.writtenMs(name) >= since;
            });
            const reachable = reach(left, (backup) => kept.has(backup) || !hasBackup);
            expect(wanted.filter((moment) => !reachable.has(moment))).toEqual([]);
          }
        }),
        runs,
      );
    });

    test(
      'what is kept is needed: by a kept backup, or behind what is young, or for a live timeline without a backup, or as the newest of its timeline',
      { timeout },
      async () => {
        await fc.assert(
          fc.asyncProperty(anyLife, anyPolicy, async (life, policy) => {
            const remains = life.remains();
            const plan = await tryPrune(remains, policy);
            if (plan === undefined || plan.live.some(({ hasBackup }) => !hasBackup)) return;
            const size = 2n ** 24n;
            const young = [...remains.objects.values()]
              .filter(
                ({ name, modifiedMs }) =>
                  !name.endsWith('history') && modifiedMs > plan.now.getTime() - policy.keepWalMs,
              )
              .map(({ name }) => ({ timeline: parseInt(name.slice(0, 8), 16), lsn: numberOf(name) * size }));
            const places = [...plan.kept.map(({ assessed }) => assessed.backup.start), ...young];
            const dead = new Set(gone(plan));
            const newest = newestSegments(remains.objects.keys());
            for (const name of remains.objects.keys()) {
              if (dead.has(name) || name.endsWith('history')) continue;
              const timeline = parseInt(name.slice(0, 8), 16);
              // Or what belongs to it, or lies behind it: no segment does.
              const tip = newest.get(timeline);
              if (tip !== undefined && name >= tip) continue;
              const history = historyOf(timeline, remains.histories);
              const isNeeded = places.some((place) => {
                if (place.timeline === timeline) return numberOf(name) >= place.lsn / size;
                // The way to this timeline came from that one, behind the place.
                const index = history.findIndex((entry) => entry.timeline === place.timeline);
                const left = history
                  .slice(0, Math.max(index, 0))
                  .reduce((end, { begin }) => (begin < end ? begin : end), 2n ** 64n);
                return index > 0 && known(history[index]).begin < left && place.lsn <= left;
              });
              expect({ name, isNeeded }).toEqual({ name, isNeeded: true });
            }
          }),
          runs,
        );
      },
    );
  });
}

function nameTail(number: bigint): string {
  const hex = (value: bigint): string => value.toString(16).toUpperCase().padStart(8, '0');
  return `${hex(number / 256n)}${hex(number % 256n)}`;
}
