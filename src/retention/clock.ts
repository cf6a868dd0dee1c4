import { Failure } from '../exit.ts';
import { newestOf } from './policy.ts';
import type { Assessment } from './assess.ts';

const MINUTE_MS = 60_000;
/** How far the clocks of servers, stores and this host may differ. */
const SKEW_MS = 60 * MINUTE_MS;
/** The start is read in the time zone of the server's log, which may not be known here. */
const ZONE_MS = 26 * 60 * MINUTE_MS;
/** Before this program was written. */
const EARLIEST_MS = Date.UTC(2025, 0);

/**
 * Ages decide what goes, so the clocks must make sense. Errors: Failure `invalid` where this host's clock lies before
 * what the archive holds, or a backup ends before it begins.
 */
export function checkClock({ inventory, backups }: Assessment, now: Date): void {
  const latest = now.getTime() + SKEW_MS;
  if (!(now.getTime() >= EARLIEST_MS)) throw senseless(`the clock of this host says ${show(now.getTime())}`);
  for (const [id, objects] of inventory.timelines) {
    const newest = newestOf(objects);
    if (newest > latest) {
      throw senseless(
        `an object of timeline ${id} is from ${show(newest)}, and the clock of this host says ${show(now.getTime())}`,
      );
    }
  }
  for (const { backup } of backups) {
    const [started, stopped] = [backup.startedAt.getTime(), backup.stoppedAt.getTime()];
    if (!(stopped <= latest)) {
      throw senseless(
        `backup ${backup.path} ended at ${show(stopped)}, and the clock of this host says ${show(now.getTime())}`,
      );
    }
    if (!(stopped >= started - ZONE_MS)) {
      throw senseless(`backup ${backup.path} began at ${show(started)}, and ended at ${show(stopped)}`);
    }
  }
}

function senseless(fact: string): Failure {
  return new Failure('invalid', fact, {
    hint: 'Ages decide what goes, so nothing is deleted by clocks that contradict each other. Set the clock, or mend the times of the files.',
  });
}

function show(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? 'no time at all' : date.toISOString();
}
