import { describe } from 'vitest';

import { branches } from '../harness/branches.ts';
import { loseArchiveAt, undisturbed } from '../harness/moments.ts';
import { situation } from '../harness/situations.ts';

describe('the archive is lost at any one request of a recovery', () => {
  situation(
    'of one to a point on the first timeline',
    async (version) => {
      const past = await branches(version);
      const requests = await undisturbed(past, past.goals.first);
      console.log(requests.map((r) => `${r.name} ${r.path} ${r.status}`).join('\n'));
      for (const [index] of requests.entries()) await loseArchiveAt(past, past.goals.first, index + 1);
    },
    { always: true },
  );
});
