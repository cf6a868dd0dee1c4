import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';

import { processesIn } from './archiver.ts';
import { needNamespaces } from './namespace.ts';
import { isRunning, waitFor } from './wait.ts';

/** A process as those that run tests are: it starts a server that archives, and waits to be killed. */
const testProcess = (within: string): string => `
  const { startPostgres } = await import(${JSON.stringify(join(import.meta.dirname, 'postgres.ts'))});
  const { asPid1 } = await import(${JSON.stringify(join(import.meta.dirname, 'namespace.ts'))});
  const settings = { archive_mode: 'on', archive_command: 'sleep 600' };
  const server = await startPostgres({ version: 18, walSegmentSizeMb: 1, settings, ${within} });
  await server.query('SELECT pg_switch_wal()');
  console.log(JSON.stringify({ pid: server.pid, directory: server.dataDirectory }));
  setInterval(() => undefined, 1000);`;

test('a test process that is killed leaves no server, no command of one, and no file', () => killTestProcess(''));

test.skipIf(needNamespaces())('nor a server that is PID 1', () => killTestProcess('within: asPid1()'));

async function killTestProcess(within: string): Promise<void> {
  const child = spawn(process.execPath, ['--input-type=module', '--eval', testProcess(within)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const line = await new Promise<string>((resolve) => createInterface({ input: child.stdout }).once('line', resolve));
  const { pid, directory } = JSON.parse(line) as { pid: number; directory: string };
  await waitFor('the server to run its command', () => processesIn(directory).length > 3);
  expect(isRunning(pid)).toBe(true);

  child.kill('SIGKILL');
  await waitFor('the server to be gone', () => !isRunning(pid) && processesIn(directory).length === 0);
  await waitFor('its files to be gone', () => !existsSync(directory));
}
