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
}

/**
 * A situation in a server's life, as a test of its own for each version: `PostgreSQL 13: <name>`. From these names the
 * matrix of docs/situations.md is made, below the heading of the `describe` around them.
 */
export function situation(
  name: string,
  body: (version: Version) => Promise<void>,
  { from = 13, to = 18, always = false }: SituationOptions = {},
): void {
  const known = VERSIONS.filter((version) => version >= from && version <= to);
  const outermost = known.filter((version) => OUTERMOST.includes(version) || version === from || version === to);
  for (const version of always || IS_LONG ? known : outermost)
    test(`PostgreSQL ${version}: ${name}`, () => body(version));
}
