/** Writes docs/situations.md from the report that the last `scripts/test --long` left, or from those that are named. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { situationsPage } from './lib/situations.ts';

const ROOT = dirname(import.meta.dirname);
const USAGE = `Usage: scripts/situations [REPORT...]

Writes docs/situations.md, the matrix of situations and versions, from reports of vitest's.
Without a REPORT, from the one that the last scripts/test --long left in .cache.
Of what several reports tell, the last one counts.
`;

const named = process.argv.slice(2);
const reports = named.length > 0 ? named : [join(ROOT, '.cache/long-report.json')];
const missing = reports.filter((report) => !existsSync(report));

if (named.includes('--help') || named.includes('-h')) {
  process.stdout.write(USAGE);
} else if (missing.length === 0) {
  const page = situationsPage(reports.map((report) => readFileSync(report, 'utf8')));
  writeFileSync(join(ROOT, 'docs/situations.md'), page);
} else {
  process.stderr.write(`situations: there is no ${missing.join(', ')}: scripts/test --long makes one\n`);
  process.exitCode = 1;
}
