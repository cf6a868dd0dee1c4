import { expect, test } from 'vitest';

import { Tally } from '../../scripts/lib/tally.ts';
import { countTests } from '../../scripts/lib/vitest-report.ts';

function report(
  ...testResults: { name: string; status: string; tests: [fullName: string, status: string][] }[]
): string {
  return JSON.stringify({
    testResults: testResults.map(({ tests, ...file }) => ({
      ...file,
      assertionResults: tests.map(([fullName, status]) => ({ fullName, status })),
    })),
  });
}

function count(json: string): string[] {
  const tally = new Tally();
  countTests(json, '/root', tally);
  return tally.lines();
}

test('what was left out and what failed is named before the numbers', () => {
  const json = report({
    name: '/root/test/a.test.ts',
    status: 'failed',
    tests: [
      ['one', 'passed'],
      ['two', 'failed'],
      ['three', 'skipped'],
      ['four', 'pending'],
    ],
  });
  expect(count(json)).toEqual([
    'skipped: test/a.test.ts: three',
    'skipped: test/a.test.ts: four',
    'failed: test/a.test.ts: two',
    '1 passed, 1 failed, 2 skipped',
  ]);
});

test('a file that could not be loaded, or that failed after its tests, is a failure', () => {
  const json = report(
    { name: '/root/test/b.test.ts', status: 'failed', tests: [] },
    { name: '/root/test/c.test.ts', status: 'failed', tests: [['one', 'passed']] },
  );
  expect(count(json)).toEqual(['failed: test/b.test.ts', 'failed: test/c.test.ts', '1 passed, 2 failed, 0 skipped']);
});

test('a report of another shape is no success', () => {
  expect(() => count('{}')).toThrow();
});

test('tallies add up', () => {
  const [all, more] = [new Tally(), new Tally()];
  expect(all.isEmpty).toBe(true);
  all.check('lint', true);
  more.check('types', false);
  more.skip('servers');
  all.add(more);
  expect(all.hasFailed).toBe(true);
  expect(all.lines()).toEqual(['skipped: servers', 'failed: types', '1 passed, 1 failed, 1 skipped']);
});
