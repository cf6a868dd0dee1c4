import { explain } from '../../src/retention/explain.ts';
import { takeInventory } from '../../src/retention/inventory.ts';
import { doomed, planPrune, type Plan } from '../../src/retention/plan.ts';
import type { Policy } from '../../src/retention/policy.ts';
import { assess, type Assessment } from '../../src/retention/assess.ts';
import { toTimelineId } from '../../src/wal/name.ts';
import { known } from '../wal/arbitraries.ts';
import { HOUR_MS, Life, listing, MEGABYTES_16, SYSTEM, type Remains } from './life.ts';

export const DAY_MS = 24 * HOUR_MS;
export const SEGMENT = 2n ** 24n;
export const PRIMARY = { bytes: SEGMENT, from: 'primary', brings: false } as const;
export const STANDBY = { ...PRIMARY, from: 'standby' } as const;

/** Keeps as little as can be: each test says what it is about. */
export const LEAST: Policy = { keepBackups: 1, keepWalMs: 0, strayAfterMs: HOUR_MS, keep: [] };

/** Surveys what a life has left. */
export async function look(remains: Remains, vouchedLabels: readonly string[] = []): Promise<Assessment> {
  const inventory = await takeInventory(listing(remains), { systemId: SYSTEM, segmentSize: MEGABYTES_16 });
  const histories = [...remains.histories].map(([id, text]) => ({ timeline: known(toTimelineId(id)), text }));
  return assess({
    inventory,
    histories,
    backups: remains.backups,
    backupHistories: remains.backupHistories,
    vouchedLabels,
  });
}

/** Plans a prune of what a life has left, a minute after its last event. */
export async function prune(remains: Remains, policy: Policy): Promise<Plan> {
  return planPrune(await look(remains), policy, new Date(remains.nowMs + 60_000));
}

/** The names of what goes, in order. */
export function gone(plan: Plan): string[] {
  return Array.from(doomed(plan), ({ name }) => name.name);
}

/** What becomes of an object, in a word. */
export function fate(plan: Plan, name: string): string {
  return explain(plan, name).fate;
}

/** The numbers of the kept backups. */
export function kept(plan: Plan): string[] {
  return plan.kept.map(({ assessed }) => assessed.backup.path.replace('file:///backups/', ''));
}

/** Three full backups, ten days apart, with WAL between them. */
export function threeBackups(): Life {
  const life = new Life(1);
  for (let turn = 0; turn < 3; turn += 1) {
    life.backup(0, PRIMARY);
    life.write(0, 3n * SEGMENT);
    life.wait(240);
  }
  life.write(0, SEGMENT);
  return life;
}
