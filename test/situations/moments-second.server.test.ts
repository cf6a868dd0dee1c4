import { describe } from 'vitest';

import { branches } from '../harness/branches.ts';
import { loseArchiveAtEach } from '../harness/moments.ts';
import { situation } from '../harness/situations.ts';

describe('Recovery: the archive is lost at any one request', () => {
  situation(
    'that goes to a point on a timeline which others left',
    async (version) => {
      const past = await branches(version);
      await loseArchiveAtEach(past, past.goals.second);
    },
    { always: true },
  );
});
