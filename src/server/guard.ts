import { readFileSync } from 'node:fs';

/** A process, told from a later one with the same number by when it started. */
interface ProcessId {
  readonly pid: number;
  /** In clock ticks since the machine's start. */
  readonly startTicks: string;
}

interface ProcessStat extends ProcessId {
  readonly state: string;
  readonly parent: number;
  readonly session: number;
}

/**
 * Watches whether anybody still waits for our work. A SIGTERM to the launcher alone, or the death of the archiver or
 * the startup process, leaves this program running beside the next one, which may be about to do the same work. An
 * orphan must not act.
 */
export class ParentGuard {
  readonly #launcherPid: number | undefined;
  readonly #leader: ProcessId | undefined;

  /** @param launcherPid our parent as we know it; undefined for a program that no launcher started: it is always wanted */
  constructor(launcherPid: number | undefined) {
    this.#launcherPid = launcherPid;
    this.#leader = launcherPid === undefined ? undefined : findLeader(launcherPid);
  }

  /** Whether our parent is still the launcher, and the process that its session belongs to lives. Two small reads in /proc. */
  stillWanted(): boolean {
    if (this.#launcherPid === undefined) return true;
    if (readStat('self')?.parent !== this.#launcherPid) return false;
    return this.#leader === undefined || isAlive(this.#leader);
  }
}

/**
 * The process that the work is for: the leader of our session (the server's process has one of its own). Where it is
 * gone already, as under a tool that daemonises commands, the launcher's parent stands in. Undefined where neither
 * is to be seen, as from inside a container: then the launcher alone tells.
 */
function findLeader(launcherPid: number): ProcessId | undefined {
  const session = readStat('self')?.session ?? 0;
  return living(session) ?? living(readStat(launcherPid)?.parent ?? 0);
}

/** A way to ask whether the process that has this pid now still lives; undefined where there is none. */
export function livingProcess(pid: number): (() => boolean) | undefined {
  const process = living(pid);
  return process && (() => isAlive(process));
}

function living(pid: number): ProcessId | undefined {
  const stat = pid > 0 ? readStat(pid) : undefined;
  return stat !== undefined && !hasEnded(stat) ? { pid: stat.pid, startTicks: stat.startTicks } : undefined;
}

function isAlive(process: ProcessId): boolean {
  const stat = readStat(process.pid);
  return stat !== undefined && !hasEnded(stat) && stat.startTicks === process.startTicks;
}

/** Whether the process has ended, and its parent has not looked yet: an adopting PID 1 may never look. */
export function isZombie(pid: number): boolean {
  const stat = readStat(pid);
  return stat !== undefined && hasEnded(stat);
}

/** A zombie has ended: only its parent has not looked yet. */
function hasEnded(stat: ProcessStat): boolean {
  return stat.state === 'Z' || stat.state === 'X';
}

/** Reads /proc/<pid>/stat (proc_pid_stat(5)); undefined where there is no such process. */
function readStat(pid: number | 'self'): ProcessStat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // The second field is the command in parentheses, and can hold spaces and parentheses itself.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state = '', parent, , session] = fields;
  return {
    pid: Number.parseInt(text, 10),
    state,
    parent: Number(parent),
    session: Number(session),
    startTicks: fields[22 - 3] ?? '',
  };
}
