import { join } from 'node:path';
import { expect } from 'vitest';

import { STATUS, type FailureKind } from '../../src/exit.ts';
import type { Breakable } from '../harness/failures.ts';
import { withMode, type Trouble } from '../harness/failures.ts';
import type { Past } from '../harness/past.ts';

export type FetchTrouble = Trouble & { readonly kind: FailureKind };

/** What a push alone can meet. */
const PUSH_ONLY: readonly FailureKind[] = ['different', 'damaged'];

/** The segments of the past that troubles of objects befall, in the order in which a recovery comes to them. */
export interface Befallen {
  readonly gap: string;
  readonly invalid: string;
  readonly withoutKey: string;
  readonly unwritable: string;
}

/**
 * Everything that a fetch can end with, and how it comes about. Each that concerns an object brings it into the archive,
 * if it was not there, and mends it.
 * @param settled until no fetch is under way that has read other settings
 */
export function fetchTroubles(
  past: Past,
  breakable: Breakable,
  dataDirectory: string,
  on: Befallen,
  settled: () => Promise<void> = () => Promise.resolve(),
): FetchTrouble[] {
  const { site } = past;
  const gap = breakable.objectGone(on.gap, new RegExp(`wal-fetch: ${on.gap} is in no archive, but archive file:`));
  const later = past.segments[past.segments.indexOf(on.gap) + 1] ?? '';
  const keyless = breakable.configured(
    { encryption: { recipients: [site.recipient] } },
    new RegExp(`wal-fetch: archive file:.*: [0-9A-F]{24}: object is encrypted for 1 recipient.*no identity`),
  );
  const readOnly = withMode(
    join(dataDirectory, 'pg_wal'),
    0o500,
    /wal-fetch: cannot write (\S+\/)?pg_wal\/xlogtemp.*: EACCES/,
  );
  const troubles: FetchTrouble[] = [
    { kind: 'bug', ...breakable.programGone() },
    { kind: 'usage', ...breakable.misspelt() },
    { kind: 'unreachable', ...breakable.archiveGone() },
    { kind: 'denied', ...breakable.archiveDenied() },
    {
      kind: 'gap',
      ...gap,
      begin: () => {
        gap.begin();
        breakable.bring(later);
      },
    },
    {
      kind: 'invalid',
      ...breakable.objectDamaged(
        on.invalid,
        new RegExp(`wal-fetch: archive file:.*: ${on.invalid}: .*\\n.*is damaged`),
      ),
    },
    {
      kind: 'no-key',
      ...keyless,
      begin: async () => {
        keyless.begin();
        await settled();
        breakable.bring(on.withoutKey);
      },
    },
    {
      kind: 'unwritable',
      ...readOnly,
      begin: () => {
        readOnly.begin();
        breakable.bring(on.unwritable);
      },
    },
  ];
  const kinds = [...troubles.map(({ kind }) => kind), ...PUSH_ONLY].sort();
  expect(kinds).toEqual(Object.keys(STATUS).sort());
  return troubles;
}
