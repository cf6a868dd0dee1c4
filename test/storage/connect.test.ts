import { expect, test } from 'vitest';

import { openArchives } from '../../src/archive/archives.ts';
import { Failure } from '../../src/exit.ts';

test.each(['s3', 'azure'] as const)('%s:// is refused, once by name and with what there is', async (scheme) => {
  const url = `${scheme}://bucket/prefix`;
  const failure = await openArchives([{ url, scheme, required: true, mode: 'push' }]).catch((error: unknown) => error);
  if (!(failure instanceof Failure)) throw new Error('expected a Failure');
  expect(failure.kind).toBe('usage');
  expect(failure.message).toBe(`archive ${url}: this version stores nothing in ${scheme}://`);
  expect(failure.hint).toContain('file://');
});
