import { existsSync } from 'node:fs';
import { join } from 'node:path';

import type { Column } from '../exit.ts';
import type { Settings } from '../settings/schema.ts';

/**
 * How a failed fetch must end, by the files that tell the server itself what it is (both: a standby). A recovery
 * stops at a failure; a standby lives through it and asks again. While `promote` waits to be seen, a standby is a
 * recovery that is about to end, unless the settings prefer that risk.
 * @param cwd where the server runs restore_command: its data directory
 */
export function failureColumn(cwd: string, onPromote: 'stop' | 'promote'): Column {
  if (!existsSync(join(cwd, 'standby.signal'))) return 'strict';
  return onPromote === 'stop' && existsSync(join(cwd, 'promote')) ? 'strict' : 'standby';
}

/** Whether a standby is strict only because it is about to promote: a failure stops a server that would live else. */
export function promotionIsStopped(cwd: string, onPromote: 'stop' | 'promote'): boolean {
  return existsSync(join(cwd, 'standby.signal')) && failureColumn(cwd, onPromote) === 'strict';
}

/**
 * For how long nothing may arrive, in milliseconds. A recovery may wait long, a standby only briefly: while we wait, it
 * does not try streaming.
 */
export function silenceLimit(cwd: string, { fetch: { standbyDeadlineMs, onPromote } }: Settings): number {
  return failureColumn(cwd, onPromote) === 'standby' ? standbyDeadlineMs : Infinity;
}
