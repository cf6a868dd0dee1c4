import { parseKey } from '../wal/keys.ts';
import { parseWalName, type BackupName, type PartialName, type SegmentName } from '../wal/name.ts';
import type { KeepKind } from './needs.ts';
import type { Plan } from './plan.ts';
import { segmentNumber } from './segment-number.ts';

/** What becomes of one object, and why. */
export interface Explanation {
  readonly fate: 'stays' | 'goes' | 'untouched' | 'not-there';
  /** Of WAL that stays: what the reasons are made of. */
  readonly because?: readonly KeepKind[];
  /** Clauses: all reasons, the strongest first. */
  readonly reasons: readonly string[];
}

/** Explains the fate of one object of the archive, by its name or its key. */
export function explain(plan: Plan, nameOrKey: string): Explanation {
  const { inventory } = plan.assessment;
  const key = nameOrKey.includes('/') ? parseKey(nameOrKey) : undefined;
  if (key !== undefined && (key.place === 'aside' || key.system !== inventory.systemId)) {
    const why =
      key.place === 'aside' ? 'what was set aside is never touched' : `it is of another cluster, ${key.system}`;
    return { fate: 'untouched', reasons: [why] };
  }
  const name = key?.name ?? parseWalName(nameOrKey);
  if (name === undefined)
    return { fate: 'untouched', reasons: ['it is no WAL file of this archive: what is unknown is never touched'] };
  if (name.kind !== 'history') return explainWal(plan, name);
  const isThere = inventory.histories.some((history) => history.name.name === name.name);
  const reason = 'history files never go: without one, recovery takes the wrong branch, or uses a timeline twice';
  return isThere ? { fate: 'stays', reasons: [reason] } : NOT_THERE;
}

const NOT_THERE: Explanation = { fate: 'not-there', reasons: ['the archive holds no such object'] };

function explainWal({ assessment, claims, deletes }: Plan, name: SegmentName | PartialName | BackupName): Explanation {
  const objects = assessment.inventory.timelines.get(name.timeline);
  const number = segmentNumber(name, assessment.size);
  const isThere =
    name.kind === 'segment'
      ? number !== undefined && objects?.segments.indexOf(number) !== undefined
      : objects?.beside.some((side) => side.name.name === name.name);
  if (number === undefined || isThere !== true) return NOT_THERE;
  const decision = deletes.find(
    ({ timeline, from, to }) => timeline === name.timeline && number >= from && number < to,
  );
  if (decision !== undefined) return { fate: 'goes', reasons: [decision.reason] };
  const own = (claims.get(name.timeline) ?? []).filter(({ from }) => from <= number).map(({ need }) => need);
  const strongest = own.toSorted((a, b) => Number(b.kind === 'backup') - Number(a.kind === 'backup'));
  const reasons = strongest.map(({ kind, reason }) => (kind === 'backup' ? `needed by ${reason}` : reason));
  const because = [...new Set(strongest.map(({ kind }) => kind))];
  return { fate: 'stays', because, reasons: [...new Set(reasons)] };
}
