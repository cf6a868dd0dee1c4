import type { Archive } from '../../archive/archives.ts';
import type { Failure } from '../../exit.ts';
import type { Applied } from '../../retention/apply.ts';
import type { Assessment } from '../../retention/assess.ts';
import type { Plan } from '../../retention/plan.ts';
import type { Catalogues } from './backups.ts';

export interface PruneOptions {
  readonly config?: string;
  readonly pgdata?: string;
  readonly systemId?: string;
  /** The URL of the only archive that is looked at. */
  readonly archive?: string;
  readonly explain?: string;
  readonly apply?: boolean;
  readonly json?: boolean;
}

/** What was found out of one archive, and done to it. */
export type Finding =
  | { readonly archive: Archive; readonly is: 'planned'; readonly plan: Plan; readonly applied?: Applied }
  /** No backup can be restored from it, so nothing is planned. */
  | { readonly archive: Archive; readonly is: 'without-backup'; readonly assessment: Assessment }
  | { readonly archive: Archive; readonly is: 'failed'; readonly failure: Failure };

/** All that a prune has to tell. */
export interface Findings {
  readonly at: Date;
  readonly options: PruneOptions;
  readonly catalogues: Catalogues;
  readonly findings: readonly Finding[];
  /** Archives that are never written. */
  readonly passedOver: readonly string[];
}
