import { expect, test } from 'vitest';

import { needStore } from '../harness/need.ts';
import { deletions, makeMany, segmentName } from './prune-many.ts';

const COUNT = 100_000;

test.skipIf(needStore('minio'))('100,000 objects go from MinIO with 100 requests', async () => {
  await using many = await makeMany(COUNT);
  expect(await many.host.run('wal-prune', ['--apply'])).toMatchObject({ status: 0 });
  expect(deletions(many)).toBe(COUNT / 1_000);
  expect(await many.names()).toEqual([segmentName(COUNT + 1), segmentName(COUNT + 2)]);
});
