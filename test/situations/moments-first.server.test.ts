import { describe } from 'vitest';

import { branches } from '../harness/branches.ts';
import { loseArchiveAtEach } from '../harness/moments.ts';
import { situation } from '../harness/situations.ts';

describe('Recovery: the archive is lost at any one request', () => {
  situation(
    'that goes to a point on the first timeline',
    async (version) => {
      const past = await branches(version);
      await loseArchiveAtEach(past, past.goals.first);
    },
    { always: true },
  );
});
