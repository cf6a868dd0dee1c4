import { test } from 'vitest';

import { VERSIONS, type Version } from './server-user.ts';

/** Where time is short, the oldest and the newest version stand for those between them. */
const OUTERMOST: readonly Version[] = [13, 18];
/** What `scripts/test --long` sets, so that every situation is seen on every version. */
const IS_LONG = process.env['WALSEAL_TEST_VERSIONS'] === 'all';

export interface SituationOptions {
  /** The first version that knows such a situation. Default: 13. */
  readonly from?: Version;
  /** The last one. Default: 18. */
  readonly to?: Version;
  /** Every version, also where time is short: for the moments in which a mistake loses data. */
  readonly always?: boolean;
  /** False where this machine lacks what it takes; the test is then skipped by name. */
  readonly runIf?: boolean;
}

declare module 'vitest' {
  interface TaskMeta {
    /** What scripts/lib/situations.ts reads in vitest's report. */
    situation?: {
      readonly name: string;
      readonly version: Version;
      readonly from: Version;
      readonly to: Version;
      /** Whether it runs for this version where time is short, too. */
      readonly gates: boolean;
    };
  }
}

/**
 * A situation in a server's life, as a test of its own for each version: `PostgreSQL 13: <name>`. From these the
 * matrix of docs/situations.md is made, below the heading of the `describe` around them.
 */
export function situation(
  name: string,
  body: (version: Version) => Promise<void>,
  { from = 13, to = 18, always = false, runIf = true }: SituationOptions = {},
): void {
  for (const version of VERSIONS.filter((known) => known >= from && known <= to)) {
    const gates = always || OUTERMOST.includes(version) || version === from || version === to;
    const meta = { situation: { name, version, from, to, gates } };
    if (gates || IS_LONG) test.runIf(runIf)(`PostgreSQL ${version}: ${name}`, { meta }, () => body(version));
  }
}
