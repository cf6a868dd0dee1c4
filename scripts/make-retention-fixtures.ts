/**
 * Makes test/fixtures/retention: what pg_basebackup of real servers writes, less the contents of the files: manifests,
 * labels, pg_control, and the listing. Run it again when a new major version is installed; the files differ each time
 * (identifiers, times, sizes), their shape does not. It needs what scripts/lib/pg-clients.sh brings.
 *
 *     node scripts/make-retention-fixtures.ts
 */
import { cpSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { pgBasebackup } from '../test/harness/pg-clients.ts';
import { startPostgres } from '../test/harness/postgres.ts';
import { makeScratch } from '../test/harness/scratch.ts';
import { serverUser, VERSIONS, type Version } from '../test/harness/server-user.ts';

const TARGET = join(import.meta.dirname, '..', 'test', 'fixtures', 'retention');
const KEPT = ['backup_manifest', 'backup_label', 'global/pg_control'];
const INCREMENTAL_SINCE = 17;
/** The version whose manifest has all paths in hex. */
const ENCODED: Version = 14;

async function makeBackups(version: Version): Promise<void> {
  const work = makeScratch('fixtures', serverUser());
  const summaries = version >= INCREMENTAL_SINCE ? { summarize_wal: true } : {};
  await using server = await startPostgres({ version, settings: summaries });
  const full = join(work, `${version}-full`);
  const encoded = version === ENCODED ? ['--manifest-force-encode'] : [];
  await pgBasebackup(server, full, ['-X', 'stream', '-l', 'a label\nof two lines', ...encoded]);
  keep(full);
  if (version < INCREMENTAL_SINCE) return;
  const incremental = join(work, `${version}-incremental`);
  await pgBasebackup(server, incremental, ['-X', 'none', '--incremental', join(full, 'backup_manifest')]);
  keep(incremental);
}

/** `listing`: a line for each file, bytes and path. */
function keep(backup: string): void {
  const target = join(TARGET, backup.slice(dirname(backup).length + 1));
  rmSync(target, { recursive: true, force: true });
  for (const path of KEPT) {
    mkdirSync(dirname(join(target, path)), { recursive: true });
    cpSync(join(backup, path), join(target, path));
  }
  const files = readdirSync(backup, { recursive: true, encoding: 'utf8' }).sort();
  const lines = files
    .map((path) => ({ path, stat: statSync(join(backup, path)) }))
    .filter(({ stat }) => stat.isFile())
    .map(({ path, stat }) => `${stat.size} ${path}\n`);
  writeFileSync(join(target, 'listing'), lines.join(''));
}

for (const version of VERSIONS) await makeBackups(version);
