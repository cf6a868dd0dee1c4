import { relative } from 'node:path';
import * as v from 'valibot';

import type { Tally } from './tally.ts';

/** What is read of the report that vitest's reporter "json" writes. */
const Report = v.object({
  testResults: v.array(
    v.object({
      name: v.string(),
      status: v.string(),
      message: v.optional(v.string()),
      assertionResults: v.array(v.object({ fullName: v.string(), status: v.string() })),
    }),
  ),
});

/** Counts each test of a report. A file that failed before or beside its tests counts as one that failed. */
export function countTests(json: string, root: string, tally: Tally): void {
  for (const file of v.parse(Report, JSON.parse(json)).testResults) {
    const path = relative(root, file.name);
    for (const test of file.assertionResults) {
      const name = `${path}: ${test.fullName}`;
      if (test.status === 'passed' || test.status === 'failed') tally.check(name, test.status === 'passed');
      else tally.skip(name);
    }
    const isToldByTests = file.assertionResults.some((test) => test.status === 'failed');
    if (file.status === 'failed' && !isToldByTests) tally.check(path, false);
  }
}
