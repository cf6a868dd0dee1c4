import type { AssessedBackup } from '../../retention/assess.ts';
import type { GivenUpBackup, Plan } from '../../retention/plan.ts';
import { isNamed } from '../../retention/policy.ts';

/** What becomes of a base backup, and why. */
export interface ExplainedBackup {
  readonly path: string;
  readonly label: string;
  readonly fate: 'kept' | GivenUpBackup['becomes'];
  /** Clauses. */
  readonly reasons: readonly string[];
}

/** The backups that a name means: a label, a path, or the last part of a path, with `*` and `?`. */
export function explainBackups({ kept, givenUp }: Plan, name: string): ExplainedBackup[] {
  const told = [
    ...kept.map(({ assessed, reasons }) => explained(assessed, 'kept', reasons)),
    ...givenUp.map(({ assessed, becomes, parentOf }) => {
      const children = parentOf.map(({ path }) => `${path}, which is kept, builds upon its files: do not delete them`);
      return explained(assessed, becomes, [MEANING[becomes], ...children]);
    }),
  ];
  return told.filter(({ assessed: { backup } }) => isNamed(backup, name)).map(({ told: one }) => one);
}

/** What each fate means to whoever has the backup. */
export const MEANING: Readonly<Record<GivenUpBackup['becomes'], string>> = {
  'as-before': 'no policy keeps it; it loses nothing for now, as others need the same WAL',
  shorter:
    "no policy keeps it; its own WAL keeps it consistent, and what follows is not whole: restore it with recovery_target = 'immediate' only, from PostgreSQL 15 on with recovery_prefetch = off as well",
  'already-short':
    "no policy keeps it, and this plan takes nothing from it, but WAL that follows it is missing already: restore it to a moment before the gap only, such as recovery_target = 'immediate', from PostgreSQL 15 on with recovery_prefetch = off as well",
  lost: "no policy keeps it, and without the WAL that goes it can't be restored from this archive any more",
  'not-restorable': "it can't be restored",
};

function explained(
  assessed: AssessedBackup,
  fate: ExplainedBackup['fate'],
  reasons: readonly string[],
): { readonly assessed: AssessedBackup; readonly told: ExplainedBackup } {
  const { backup, problems } = assessed;
  const { path, label } = backup;
  return { assessed, told: { path, label, fate, reasons: [...reasons, ...problems] } };
}
