import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** LOCK_FILE_LINE_PM_STATUS in pidfile.h. */
const STATUS_LINE = 8;

/** Whether the server is on its way down: it then waits for the archiver, and an operator for the server. */
export function postmasterIsStopping(dataDirectory: string): boolean {
  let text: string;
  try {
    text = readFileSync(join(dataDirectory, 'postmaster.pid'), 'latin1');
  } catch {
    return false; // No server, or none that we can ask: nobody waits for us.
  }
  return text.split('\n')[STATUS_LINE - 1]?.trim() === 'stopping';
}
