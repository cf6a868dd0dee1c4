/** The picture in docs/retention.md, and the table below it. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

import type { Policy } from '../../src/retention/policy.ts';
import { Life, type Remains } from './life.ts';
import { DAY_MS, gone, prune } from './prune.ts';

const DOCS = readFileSync(new URL('../../docs/retention.md', import.meta.url), 'utf8');
const SEGMENT = 2n ** 24n;
const DEFAULTS = { keepWalMs: 7 * DAY_MS, strayAfterMs: 30 * DAY_MS, keep: [] };

/** Backups A, B, C and D, a fail-over, and a recovery that was looked at and left. */
function picture(): Remains {
  const life = new Life(1);
  const [primary, forkedOff] = [1, 2];
  const full = { bytes: SEGMENT, from: 'primary', brings: false } as const;
  const days = (count: number): void => life.wait(24 * count);
  life.write(0, 3n * SEGMENT);
  life.backup(0, full);
  days(15);
  life.write(0, 4n * SEGMENT);
  life.backup(0, full);
  days(5);
  life.write(0, 4n * SEGMENT);
  life.promote(0);
  life.write(primary, 6n * SEGMENT);
  days(4);
  life.recover(primary, 3n * SEGMENT, false);
  life.write(forkedOff, 3n * SEGMENT);
  days(6);
  life.write(primary, 4n * SEGMENT);
  days(10);
  life.backup(primary, full);
  days(5);
  life.write(primary, 4n * SEGMENT);
  days(5);
  life.backup(primary, full);
  days(10);
  life.write(primary, 2n * SEGMENT);
  const remains = life.remains();
  const backups = remains.backups.map((backup, index) => ({ ...backup, label: 'ABCD'.charAt(index) }));
  return { ...remains, backups };
}

/** Which of the stretches a to g of the picture stay, or keep the newest segment of their timeline alone (in brackets). */
async function staying(policy: Policy): Promise<{ backups: string; stretches: string }> {
  const remains = picture();
  const plan = await prune(remains, policy);
  const dead = new Set(gone(plan));
  const backups = plan.kept.map(({ assessed }) => assessed.backup.label).join(', ');
  const [a, b, c, d] = remains.backups.map(({ start }) => start.lsn / SEGMENT);
  const names = [...remains.objects.keys()].filter((name) => name.length === 24);
  const stretchOf = (name: string): string => {
    const number = BigInt(`0x${name.slice(8, 16)}`) * 256n + BigInt(`0x${name.slice(16)}`);
    if (a === undefined || b === undefined || c === undefined || d === undefined)
      throw new Error('there are four backups');
    if (name.startsWith('00000001')) return number < a ? 'a' : number < b ? 'b' : 'c';
    if (name.startsWith('00000003')) return 'e';
    return number < c ? 'd' : number < d ? 'f' : 'g';
  };
  const kept = [...new Set(names.map(stretchOf))].sort().flatMap((stretch) => {
    const own = names.filter((name) => stretchOf(name) === stretch).sort();
    const left = own.filter((name) => !dead.has(name));
    if (left.length === own.length) return [stretch];
    expect(left).toEqual(left.length === 0 ? [] : own.slice(-1));
    return left.length === 0 ? [] : [`(${stretch})`];
  });
  return { backups, stretches: kept.join(', ') };
}

test.each<[string, Policy]>([
  ['`keep_backups = 2`', { ...DEFAULTS, keepBackups: 2 }],
  ['`keep_backups = 3`', { ...DEFAULTS, keepBackups: 3 }],
  ['`keep_days = 30`', { ...DEFAULTS, keepDays: 30 }],
  ['`keep_backups = 1`', { ...DEFAULTS, keepBackups: 1 }],
  ['`keep_backups = 1`, `keep = ["A"]`', { ...DEFAULTS, keepBackups: 1, keep: ['A'] }],
  ['`keep_backups = 1`, `stray_after = "45d"`', { ...DEFAULTS, keepBackups: 1, strayAfterMs: 45 * DAY_MS }],
  ['`keep_backups = 1`, `keep_wal = "21d"`', { ...DEFAULTS, keepBackups: 1, keepWalMs: 21 * DAY_MS }],
])('%s keeps what docs/retention.md says', async (settings, policy) => {
  const { backups, stretches } = await staying(policy);
  const cells = DOCS.split('\n')
    .find((line) => line.startsWith(`| ${settings} |`))
    ?.split('|')
    .map((cell) => cell.trim());
  expect({ backups, stretches }).toEqual({ backups: cells?.[2], stretches: cells?.[3] });
});
