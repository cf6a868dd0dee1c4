import { writeSync } from 'node:fs';

import type { Io } from './commands/io.ts';
import { bugStatus, Failure, launchedVerb, NO_LAUNCHER, ORPHANED, outcomeStatus, STATUS } from './exit.ts';

/**
 * From the command line to the exit status. A runtime left to itself ends with 0 or 1 where nothing was proven, so the
 * status of a bug stands first, then the traps, then the last deadline, and only then is the rest of the program
 * loaded, by an `import` that may fail like anything else.
 */

const words = process.argv.slice(2);
const verb = launchedVerb(words[0]);
const speaker = verb ?? 'walseal';
/** PostgreSQL waits for these two; people wait for the others. */
const isForServer = verb === 'wal-push' || verb === 'wal-fetch';

/** How long the program may take to load and to learn its own deadline. */
const START_LIMIT_MS = 2 * 60_000;
/** What a command gets beyond its own deadline, to end by itself and to say why. */
const GRACE_MS = 10_000;
/** The longest that setTimeout can wait. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;
const STILL_WANTED_CHECK_MS = 500;
/** How long a log that takes nothing may hold up the server's commands. */
const STUCK_LOG_MS = 2_000;
const RETRY_WRITE_MS = 5;
const ERASE_LINE = '\r\x1b[K';

const PROMOTION_STOPPED =
  'This standby is being promoted, and what the archive has and it has not would be lost: the server stops instead, and is a standby again at its next start. ' +
  'Promote it when the archive is back, or accept the loss with on_promote = "promote" in [fetch].';

const cleanups: (() => void)[] = [];
let lastDeadline: NodeJS.Timeout | undefined;
let isWanted = (): boolean => true;
let isOrphan = false;
let onPromote: 'stop' | 'promote' = 'stop';
let isProgressShown = false;

process.exitCode = bugStatus(verb);
process.on('uncaughtException', endByBug);
process.on('unhandledRejection', endByBug);
process.on('beforeExit', () => {
  endByBug(new Error('the work stopped half-way: it waits for something that can never happen'));
});
if (isForServer) limitTo(START_LIMIT_MS);
void main();

async function main(): Promise<void> {
  try {
    if (verb !== undefined) await watch(launcherOrEnd());
    const { run } = await import('./commands/program.ts');
    const outcome = await run(words, io());
    end(outcomeStatus(verb, outcome));
  } catch (error) {
    if (error instanceof Failure) await endByFailure(error);
    else endByBug(error);
  }
}

function io(): Io {
  return {
    out: (line) => {
      clearProgress();
      write(1, `${line}\n`);
    },
    warn: (line) => {
      clearProgress();
      write(2, `${speaker}: ${line}\n`);
    },
    progress: (line) => {
      if (!process.stderr.isTTY) return;
      write(2, `${ERASE_LINE}${line}`);
      isProgressShown = true;
    },
    heedInterrupts: () => {
      let isInterrupted = false;
      const interrupt = (): void => {
        isInterrupted = true;
      };
      process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
      return () => isInterrupted;
    },
    stillWanted: () => {
      isOrphan ||= !isWanted();
      return !isOrphan;
    },
    onAbandon: (cleanup) => {
      cleanups.push(cleanup);
    },
    endsWithin: (ms) => {
      limitTo(ms + GRACE_MS);
    },
    onPromote: (choice) => {
      onPromote = choice;
    },
  };
}

function clearProgress(): void {
  if (isProgressShown) write(2, ERASE_LINE);
  isProgressShown = false;
}

/**
 * The launcher that started us. A variable that was inherited from elsewhere names another process than our parent,
 * and must not open the way to a status below 126. Where the launcher is gone already, whoever adopted us reads the
 * status; it is PID 1, and it may be a postmaster.
 */
function launcherOrEnd(): number {
  const named = process.env['WALSEAL_LAUNCHER'];
  delete process.env['WALSEAL_LAUNCHER'];
  const launcher = Number(named);
  if (launcher === process.ppid) return launcher;
  if (launcher > 1 && process.ppid === 1) end(ORPHANED);
  write(2, `${speaker}: started without its launcher\n`);
  write(2, `${speaker}: hint: Run "${speaker}", which lies beside this program, and not "walseal ${speaker}".\n`);
  end(NO_LAUNCHER);
}

/** No orphan acts: when the launcher or the server's process is gone, the work is given up within half a second. */
async function watch(launcher: number): Promise<void> {
  const { ParentGuard } = await import('./server/guard.ts');
  const guard = new ParentGuard(launcher);
  isWanted = () => guard.stillWanted();
  const check = (): void => {
    if (isWanted()) return;
    isOrphan = true;
    abandon();
    end(ORPHANED);
  };
  setInterval(check, STILL_WANTED_CHECK_MS).unref();
}

/** Sets the last deadline anew. It keeps nothing alive: where nothing else does, the work can't go on anyway. */
function limitTo(ms: number): void {
  clearTimeout(lastDeadline);
  lastDeadline = setTimeout(
    () => {
      endByBug(new Error(`not ended ${Math.round(ms / 1_000)} s after its last deadline was set`));
    },
    Math.min(ms, LONGEST_TIMER_MS),
  );
  lastDeadline.unref();
}

/** The one place where a failure is said, and where it becomes a status. */
async function endByFailure(failure: Failure): Promise<never> {
  abandon();
  clearProgress();
  write(2, `${speaker}: ${failure.message}\n`);
  const { status, hint } =
    verb === 'wal-fetch' ? await columnOf(failure) : { status: STATUS[failure.kind].push, hint: '' };
  const hints = [failure.hint, hint].filter((text) => text !== '');
  if (hints.length > 0) write(2, `${speaker}: hint: ${hints.join(' ')}\n`);
  end(status);
}

/** How a failed fetch ends, which the server's own files decide, and what an operator must know of that. */
async function columnOf(failure: Failure): Promise<{ status: number; hint: string }> {
  try {
    const { failureColumn, promotionIsStopped } = await import('./server/signals.ts');
    // Not process.cwd(), which throws where the directory was deleted.
    const status = STATUS[failure.kind][failureColumn('.', onPromote)];
    return { status, hint: promotionIsStopped('.', onPromote) ? PROMOTION_STOPPED : '' };
  } catch (error) {
    write(2, `${speaker}: cannot tell a standby from a recovery: ${String(error)}\n`);
    return { status: bugStatus(verb), hint: '' };
  }
}

function endByBug(error: unknown): never {
  try {
    abandon();
    clearProgress();
    write(2, `${speaker}: bug: ${stackOf(error)}\n`);
    write(2, `${speaker}: hint: Please report this, with the lines above and what "walseal --version" prints.\n`);
  } finally {
    end(bugStatus(verb));
  }
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const stack = error.stack ?? String(error);
  return error.cause === undefined ? stack : `${stack}\ncaused by: ${stackOf(error.cause)}`;
}

function abandon(): void {
  for (const cleanup of cleanups.splice(0)) {
    try {
      cleanup();
    } catch (error) {
      write(2, `${speaker}: cannot clean up: ${String(error)}\n`);
    }
  }
}

/** Connections may be open still, so the process doesn't wait for them. What was written is out: see `write`. */
function end(status: number): never {
  process.exit(isOrphan ? ORPHANED : status);
}

/**
 * Writes all of it before it returns, past process.stdout: a stream there would lose what is buffered when the process
 * exits, turn a closed pipe into an 'error' event (a status of 1 in some runtimes, whatever the handlers say), and
 * make the start slower. A reader that is gone changes nothing.
 */
function write(descriptor: 1 | 2, text: string): void {
  const giveUpAt = isForServer ? performance.now() + STUCK_LOG_MS : Infinity;
  let bytes: Uint8Array = Buffer.from(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(descriptor, bytes));
    } catch (error) {
      const isFull = error instanceof Error && 'code' in error && error.code === 'EAGAIN';
      if (!isFull || performance.now() > giveUpAt) return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_WRITE_MS);
    }
  }
}
