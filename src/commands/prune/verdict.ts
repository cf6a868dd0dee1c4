/** Whether what was found is in order, and how the command ends. */
import { asFailure, type Archive } from '../../archive/archives.ts';
import { PUSH_PRECEDENCE, type Failure, type Outcome } from '../../exit.ts';
import type { Applied } from '../../retention/apply.ts';
import type { AssessedBackup, Assessment } from '../../retention/assess.ts';
import type { Plan } from '../../retention/plan.ts';
import { counted } from '../../report/units.ts';
import type { Finding } from './findings.ts';
import type { Io } from '../io.ts';

/** Whether there is nothing that a plan could stand on. */
export function hasNoBackup({ backups }: Assessment): boolean {
  return backups.every(({ problems }) => problems.length > 0);
}

/** What somebody should look at, each a clause, though nothing was lost by it. */
export function wrongs(plan: Plan): string[] {
  const { assessment, kept, live } = plan;
  const broken = kept.filter(({ assessed }) => assessed.problems.length > 0).map(({ assessed }) => assessed);
  return [
    ...broken.map(({ backup, problems }) => `kept backup ${backup.path} can't be restored: ${problems.join('; ')}`),
    ...newerAndBroken(assessment).map(
      ({ backup, problems }) =>
        `backup ${backup.path}, newer than all that can be restored, can't be: ${problems.join('; ')}`,
    ),
    ...live
      .filter(({ hasBackup }) => !hasBackup)
      .map(
        ({ timeline }) =>
          `no backup that the policy counts can be recovered to the end of timeline ${timeline}, which is live`,
      ),
  ];
}

/** Those of other clusters are no concern of this one. */
function newerAndBroken({ backups, inventory }: Assessment): AssessedBackup[] {
  const newest = backups.findLastIndex(({ problems }) => problems.length === 0);
  return backups.slice(newest + 1).filter(({ backup }) => backup.systemId === inventory.systemId);
}

/** Says on stderr what is wrong, and ends the command. Errors: the gravest Failure of all archives. */
export function concludePrune(findings: readonly Finding[], io: Io): Outcome {
  let outcome: Outcome = 'done';
  const failures: Failure[] = [];
  for (const finding of findings) {
    const { url } = finding.archive.storage;
    const said = complaints(finding);
    for (const one of said) io.warn(`archive ${url}: ${one}`);
    if (said.length > 0) outcome = 'found-wrong';
    const failure = failureOf(finding);
    if (failure !== undefined) failures.push(failure);
  }
  const gravest = failures.toSorted((a, b) => gravity(a) - gravity(b))[0];
  if (gravest === undefined) return outcome;
  for (const { message, hint } of failures.filter((failure) => failure !== gravest)) {
    io.warn(message);
    if (hint !== '') io.warn(`hint: ${hint}`);
  }
  throw gravest;
}

function gravity({ kind }: Failure): number {
  return PUSH_PRECEDENCE.indexOf(kind);
}

function complaints(finding: Finding): string[] {
  switch (finding.is) {
    case 'failed':
      return [];
    case 'without-backup':
      return [whyNothing(finding.assessment)];
    case 'planned':
      return [...wrongs(finding.plan), ...(finding.applied ? shortfall(finding.applied) : [])];
  }
}

/** Why nothing can be planned. */
export function whyNothing({ backups, inventory }: Assessment): string {
  const what =
    backups.length === 0
      ? `no base backup of system ${inventory.systemId} is known`
      : `none of ${counted(backups.length, 'base backup')} can be restored`;
  return (
    `${what}, so nothing goes: WAL is worth something only with a backup to start from. Take one with pg_basebackup, ` +
    'and say under [[backups]] where backups lie'
  );
}

/** What `--apply` has left undone. */
function shortfall({ is, left, change }: Applied): string[] {
  switch (is) {
    case 'changed':
      return [`${change ?? ''}: what was planned is out of date, so nothing was deleted. Run it again`];
    case 'interrupted':
      return [`interrupted: ${counted(left.count, 'object')} that should go are left. The next run goes on`];
    case 'remaining':
      return [`the store has confirmed that all are deleted, and ${counted(left.count, 'object')} are there`];
    case 'done':
    case 'failed':
    case 'unverified':
      return [];
  }
}

function failureOf(finding: Finding): Failure | undefined {
  if (finding.is === 'failed') return finding.failure;
  const error = finding.is === 'planned' ? finding.applied?.error : undefined;
  return error && asFailure(error, urlOf(finding.archive));
}

function urlOf({ storage }: Archive): string {
  return storage.url;
}
