import fc from 'fast-check';
import { expect, test } from 'vitest';

import { Failure } from '../../src/exit.ts';
import { anyLife, anyPolicy } from './lives.ts';
import { gone, prune } from './prune.ts';

test('made-up lives are worth a look: many end in a plan that deletes something, over forks, increments and gaps', async () => {
  const seen = { plans: 0, deletions: 0, branches: 0, forksOfForks: 0, increments: 0, gaps: 0, unserved: 0, tips: 0 };
  for (const [life, policy] of fc.sample(fc.tuple(anyLife, anyPolicy), { numRuns: 400, seed: 1 })) {
    try {
      const plan = await prune(life.remains(), policy);
      const { assessment, live, kept, keeps, deletes } = plan;
      seen.plans += 1;
      if (gone(plan).length > 0) seen.deletions += 1;
      if (deletes.some(({ timeline }) => timeline > 1)) seen.branches += 1;
      if ([...assessment.timelines.values()].some(({ spans }) => spans.length > 2)) seen.forksOfForks += 1;
      if (kept.some(({ assessed }) => assessed.backup.kind === 'incremental')) seen.increments += 1;
      if (assessment.backups.some(({ windows }) => windows.some(({ gap }) => gap !== undefined))) seen.gaps += 1;
      if (keeps.some(({ because }) => because.includes('newest'))) seen.tips += 1;
      if (live.some(({ hasBackup }) => !hasBackup)) seen.unserved += 1;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
    }
  }
  for (const [what, count] of Object.entries(seen))
    expect({ what, isOften: count >= 20 }).toEqual({ what, isOften: true });
});
