/** Writes docs/situations.md from the report that the last `scripts/test --long` left, or from the one that is named. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { situationsPage } from './lib/situations.ts';

const ROOT = dirname(import.meta.dirname);
const report = process.argv[2] ?? join(ROOT, '.cache/long-report.json');

if (existsSync(report)) {
  writeFileSync(join(ROOT, 'docs/situations.md'), situationsPage(readFileSync(report, 'utf8')));
} else {
  process.stderr.write(`situations: there is no ${report}: scripts/test --long makes it\n`);
  process.exitCode = 1;
}
