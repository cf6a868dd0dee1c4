/** The checks and the tests behind scripts/test, one after the other, all of them whatever fails. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { Tally } from './lib/tally.ts';
import { countTests } from './lib/vitest-report.ts';

const ROOT = dirname(import.meta.dirname);
const CACHE = join(ROOT, '.cache');
/** What scripts/situations reads. */
const LONG_REPORT = join(CACHE, 'long-report.json');

const isLong = process.argv.includes('--long');
// The long run sees every situation on every version of PostgreSQL.
if (isLong) process.env['WALSEAL_TEST_VERSIONS'] = 'all';

const tally = new Tally();
for (const name of ['build', 'typecheck', 'lint']) tally.check(name, run('npm', ['run', '--silent', name]));
runTests(tiers(process.argv.slice(2)));
process.stdout.write(`\n${tally.lines().join('\n')}\n`);
process.exitCode = tally.hasFailed ? 1 : 0;

function tiers(options: readonly string[]): string[] {
  if (options.includes('--unit')) return ['unit'];
  return isLong ? ['unit', 'server', 'long'] : ['unit', 'server'];
}

/** What was counted is asked of the report, and whether that was all is asked of the exit status. */
function runTests(projects: readonly string[]): void {
  mkdirSync(CACHE, { recursive: true });
  const directory = mkdtempSync(join(CACHE, 'report-'));
  try {
    const report = join(directory, 'report.json');
    const output = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const vitest = join(ROOT, 'node_modules/.bin/vitest');
    const succeeded = run(vitest, ['run', ...projects.flatMap((name) => ['--project', name]), ...output]);
    const tests = new Tally();
    if (existsSync(report)) countTests(readFileSync(report, 'utf8'), ROOT, tests);
    if (tests.isEmpty) tests.check('no test ran', false);
    if (isLong && existsSync(report)) copyFileSync(report, LONG_REPORT);
    if (!succeeded && !tests.hasFailed) tests.check('the tests ended with an error beside those of each test', false);
    tally.add(tests);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Runs a program on this terminal. Whether it ended with 0. */
function run(program: string, args: readonly string[]): boolean {
  process.stdout.write(`\n== ${[program, ...args].join(' ')}\n`);
  const { status, error } = spawnSync(program, args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
  if (error !== undefined) process.stdout.write(`${error.message}\n`);
  return status === 0;
}
