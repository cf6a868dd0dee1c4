/** What the start of the program costs, and of the stores' client libraries: against an executable that does nothing. */
import { spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { programs } from '../../test/harness/archiving.ts';
import { CHECKOUT } from '../../test/harness/dist.ts';
import { makeScratch } from '../../test/harness/scratch.ts';
import { serverUser } from '../../test/harness/server-user.ts';
import { bunOf, compile } from '../build.ts';
import type { Command } from './command.ts';
import type { Series } from './run.ts';
import { EMPTY } from './names.ts';
import { measureTasks } from './single.ts';

/** What the launchers set for the program. */
const OF_LAUNCHERS = { BUN_JSC_useJIT: '0', BUN_JSC_largeHeapSize: String(64 * 1024 * 1024) };

/** `wal-push --version` through its launcher; and a program that opens an archive in each cloud's store. */
export async function measureStart(runId: string, rounds: number): Promise<Series[]> {
  const scratch = makeScratch('start', serverUser());
  const [empty, connecting] = [buildEmptyProgram(scratch), join(scratch, 'connecting')];
  compile(CHECKOUT, 'scripts/benchmark/connecting.ts', connecting);
  chmodSync(connecting, 0o755);
  const task = (name: string, program: string, args: readonly string[], env: Command['env'] = {}) => {
    return { name, next: async (): Promise<Command> => ({ program, args, cwd: '/', env }) };
  };
  const client = (name: string, archive: object, credentials: Command['env'] = {}) =>
    task(name, connecting, [JSON.stringify(archive)], { ...OF_LAUNCHERS, ...credentials });
  const key = Buffer.alloc(32).toString('base64');
  const azure = { AZURE_STORAGE_ACCOUNT: 'account', AZURE_STORAGE_KEY: key };
  const tasks = [
    task('walseal', join(await programs(), 'wal-push'), ['--version']),
    task(EMPTY, empty, []),
    client('client of S3', { url: 's3://bucket/wal', region: 'eu-central-1' }),
    client('client of Azure', { url: 'azure://container/wal' }, azure),
    client('client of GCS', { url: 'gs://bucket/wal' }),
  ];
  return measureTasks(runId, 'start', tasks, rounds);
}

/** An executable made as ours is that does nothing. */
export function buildEmptyProgram(scratch: string): string {
  const source = join(scratch, 'empty.ts');
  const program = join(scratch, 'empty');
  writeFileSync(source, 'process.exitCode = 0;\n');
  const args = ['build', '--compile', '--bytecode', source, '--outfile', program];
  const { status, stderr } = spawnSync(bunOf(CHECKOUT), args, { cwd: scratch, encoding: 'utf8' });
  if (status === 0) chmodSync(program, 0o755);
  else throw new Error(`bun ended with ${status ?? 'a signal'}: ${stderr}`);
  return program;
}
