import { readdirSync } from 'node:fs';

const READY = '.ready';
/** With fewer files waiting, the next push is as good alone. */
const WORTH_WHILE = 2;

/**
 * Whether so many files wait for wal-push that an agent is worth its start. Looks in the current directory. It stands alone,
 * as each push asks, and what starts an agent takes its time to load.
 */
export function muchIsWaiting(): boolean {
  let waiting = 0;
  for (const name of readdirSync('pg_wal/archive_status')) {
    if (name.endsWith(READY)) waiting += 1;
    // The file that was archived just now is among them still.
    if (waiting > WORTH_WHILE) return true;
  }
  return false;
}
