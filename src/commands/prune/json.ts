/** What `--json` prints: the schema is in docs/retention.md. */
import type { Amount, Applied } from '../../retention/apply.ts';
import type { AssessedBackup, Assessment } from '../../retention/assess.ts';
import type { WalPosition } from '../../retention/base-backup.ts';
import { explain } from '../../retention/explain.ts';
import type { Decision, Plan } from '../../retention/plan.ts';
import type { NamedKeys } from '../../retention/untouched.ts';
import { formatLsn } from '../../wal/lsn.ts';
import type { Finding, Findings } from './findings.ts';
import type { Io } from '../io.ts';
import { allOthers } from './backups.ts';
import { explainBackups } from './explained.ts';
import { whyNothing, wrongs } from './verdict.ts';

/** Goes up where a field changes its meaning or goes; new ones may come without. */
const VERSION = 1;

export function reportJson(all: Findings, io: Io): void {
  const { at, options, findings, passedOver, catalogues } = all;
  const archives = findings.map((finding) => ({
    url: finding.archive.storage.url,
    ...(options.explain === undefined ? archiveOf(finding) : explained(finding, options.explain)),
  }));
  const report = {
    version: VERSION,
    at: at.toISOString(),
    applied: options.apply === true,
    archives,
    notPruned: passedOver,
    notBackups: allOthers(catalogues).map(({ path, kind, reason }) => ({ path, kind, reason })),
  };
  io.out(JSON.stringify(report, undefined, 2));
}

function archiveOf(finding: Finding): object {
  if (finding.is === 'failed') return failureOf(finding);
  const assessment = finding.is === 'planned' ? finding.plan.assessment : finding.assessment;
  const there = { systemId: assessment.inventory.systemId, segmentBytes: assessment.inventory.segmentSize };
  const untouched = untouchedOf(assessment);
  if (finding.is === 'without-backup') {
    const backups = assessment.backups.map((assessed) => backupOf(assessed, 'not-restorable', []));
    return { status: 'nothing-planned', wrong: [whyNothing(assessment)], ...there, backups, untouched };
  }
  const { plan, applied } = finding;
  return {
    status: 'planned',
    wrong: wrongs(plan),
    ...there,
    backups: backupsOf(plan),
    live: plan.live.map(({ timeline, newestMs, hasBackup }) => ({ timeline, newestAt: time(newestMs), hasBackup })),
    keeps: plan.keeps.map((keeping) => ({ ...decisionOf(keeping), because: keeping.because })),
    deletes: plan.deletes.map(decisionOf),
    untouched,
    ...(applied && { result: resultOf(applied) }),
  };
}

function failureOf({ failure: { kind, message, hint } }: Extract<Finding, { is: 'failed' }>): object {
  return { status: 'failed', failure: { kind, message, hint } };
}

function explained(finding: Finding, name: string): object {
  if (finding.is === 'failed') return failureOf(finding);
  if (finding.is === 'without-backup') return { status: 'nothing-planned', wrong: [whyNothing(finding.assessment)] };
  const backups = explainBackups(finding.plan, name);
  return { status: 'explained', name, ...(backups.length > 0 ? { backups } : explain(finding.plan, name)) };
}

function backupsOf({ assessment, kept, givenUp }: Plan): object[] {
  const fates = new Map([
    ...kept.map(({ assessed, reasons }) => [assessed, backupOf(assessed, 'kept', reasons)] as const),
    ...givenUp.map(({ assessed, becomes, parentOf }) => {
      const children = parentOf.map(({ path }) => path);
      return [assessed, { ...backupOf(assessed, becomes, []), parentOf: children }] as const;
    }),
  ]);
  return assessment.backups.flatMap((assessed) => fates.get(assessed) ?? []);
}

function backupOf(assessed: AssessedBackup, fate: string, reasons: readonly string[]): object {
  const { backup, isVouched, problems, windows } = assessed;
  const { path, label, kind, systemId, start, stop, startedAt, stoppedAt, incrementalFrom } = backup;
  return {
    path,
    label,
    kind,
    ...(systemId !== undefined && { systemId }),
    isVouched,
    start: positionOf(start),
    stop: positionOf(stop),
    startedAt: startedAt.toISOString(),
    stoppedAt: stoppedAt.toISOString(),
    ...(incrementalFrom && { incrementalFrom: positionOf(incrementalFrom) }),
    isRestorable: problems.length === 0,
    problems,
    windows: windows.map(({ timeline, end, endMs, gap }) => ({
      timeline,
      end: formatLsn(end),
      endAt: time(endMs),
      ...(gap && { gap }),
    })),
    fate,
    reasons,
  };
}

function positionOf({ timeline, lsn }: WalPosition): object {
  return { timeline, lsn: formatLsn(lsn) };
}

function decisionOf({ timeline, first, last, count, bytes, reason }: Decision): object {
  return { timeline, first, last, count, bytes, reason };
}

function untouchedOf({ inventory: { histories, untouched } }: Assessment): object {
  const { unknown, aside, temporary, otherSystems } = untouched;
  return {
    histories: histories.map(({ name }) => name.name),
    unknown: namedOf(unknown),
    aside: namedOf(aside),
    temporary: namedOf(temporary),
    otherSystems: Object.fromEntries([...otherSystems].map(([id, keys]) => [id, namedOf(keys)])),
  };
}

function namedOf({ count, bytes, first }: NamedKeys): object {
  return { count, bytes, first };
}

function resultOf({ is, isVerified, deleted, left, change, error }: Applied): object {
  return {
    status: is,
    isVerified,
    deleted: amountOf(deleted),
    left: amountOf(left),
    ...(change !== undefined && { change }),
    ...(error && { error: error.message }),
  };
}

function amountOf({ count, bytes }: Amount): Amount {
  return { count, bytes };
}

function time(ms: number): string {
  return new Date(ms).toISOString();
}
