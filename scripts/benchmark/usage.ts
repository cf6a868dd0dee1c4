/**
 * What a server's commands take of the machine: peak memory and CPU time of all processes that descend from them, also
 * of those that go on by themselves. By /proc, looked at many times a second, since nobody else sees them all.
 */
import { readdirSync, readFileSync } from 'node:fs';

import { isRunning, waitFor } from '../../test/harness/wait.ts';
import { median } from './statistics.ts';

const INTERVAL_MS = 20;
/** Kernel ticks: 100 a second on every Linux that we run on. */
const TICKS_PER_SECOND = 100;
const MIB = 1024 * 1024;
const PAGE_BYTES = 4096;

export interface Usage {
  /** Resident memory of all at once, at its highest. What several of them map is counted for each. */
  readonly peakMb: number;
  /** The same of those that have left the server's session: agents and workers in the background. */
  readonly apartPeakMb: number;
  readonly cpuSeconds: number;
}

export function medianUsage(usages: readonly Usage[]): Usage {
  const of = (key: keyof Usage): number => median(usages.map((usage) => usage[key]));
  return { peakMb: of('peakMb'), apartPeakMb: of('apartPeakMb'), cpuSeconds: of('cpuSeconds') };
}

interface Seen {
  readonly pid: number;
  readonly parent: number;
  readonly session: number;
  readonly name: string;
  /** Its own ticks, and those of its children that have ended and were waited for. */
  readonly own: number;
  readonly childrens: number;
  readonly residentBytes: number;
}

/** Watches a server's commands, or our own. Who carries `mark` in his environment counts, wherever he went. */
export class UsageWatch {
  /** Waits for the server's own processes, which are none of ours to count. */
  readonly #postmaster: number | undefined;
  /** Those who wait for commands. */
  readonly #isWaiter: (seen: Seen) => boolean;
  readonly #mark: string;
  readonly #timer: NodeJS.Timeout;
  /** Of processes: whether they are watched. Pids are used again, but not within one measurement. */
  readonly #known = new Map<number, boolean>();
  /** Ticks as last seen, of those that nobody waits for whom we see. */
  readonly #apart = new Map<number, number>();
  /** Ticks of the commands that the server's own processes have waited for: at first, and as last seen. */
  readonly #waited = new Map<number, { readonly first: number; readonly last: number }>();
  #peakBytes = 0;
  #apartPeakBytes = 0;

  private constructor(mark: string, isWaiter: (seen: Seen) => boolean, postmaster?: number) {
    this.#mark = mark;
    this.#postmaster = postmaster;
    this.#isWaiter = isWaiter;
    this.#look();
    this.#timer = setInterval(() => {
      this.#look();
    }, INTERVAL_MS);
  }

  /** Of what the processes of a server run. `mark`: `NAME=value`, as it stands in the server's environment. */
  static ofServer(postmaster: number, mark: string): UsageWatch {
    const isServer = ({ pid, parent, name }: Seen): boolean =>
      pid === postmaster || (parent === postmaster && name === 'postgres');
    return new UsageWatch(mark, isServer, postmaster);
  }

  /** Of what this process runs with such a mark. It must wait for nothing else meanwhile. */
  static ofOurs(mark: string): UsageWatch {
    return new UsageWatch(mark, ({ pid }) => pid === process.pid);
  }

  stop(): Usage {
    clearInterval(this.#timer);
    this.#look();
    const waited = [...this.#waited.values()].reduce((sum, { first, last }) => sum + last - first, 0);
    const apart = [...this.#apart.values()].reduce((sum, ticks) => sum + ticks, 0);
    return {
      peakMb: this.#peakBytes / MIB,
      apartPeakMb: this.#apartPeakBytes / MIB,
      cpuSeconds: (waited + apart) / TICKS_PER_SECOND,
    };
  }

  /** Ends what goes on in the background, and waits until it has ended. */
  async endAll(): Promise<void> {
    const left = (): number[] => processes().filter((pid) => this.#isWatched(pid) && isRunning(pid));
    for (const pid of left()) process.kill(pid, 'SIGTERM');
    await waitFor('the end of what runs in the background', () => left().length === 0);
  }

  #look(): void {
    const watched = processes()
      .filter((pid) => pid === process.pid || this.#isWatched(pid))
      .flatMap((pid) => look(pid) ?? []);
    const waiters = watched.filter(this.#isWaiter);
    const sessions = new Set(waiters.map(({ session }) => session));
    for (const { pid, childrens } of waiters) {
      if (pid === this.#postmaster) continue;
      this.#waited.set(pid, { first: this.#waited.get(pid)?.first ?? childrens, last: childrens });
    }
    let [peak, apartPeak] = [0, 0];
    for (const seen of watched) {
      // A command that a server has just forked still looks like the server, shared memory and all.
      if (seen.pid === process.pid || this.#isWaiter(seen) || seen.name === 'postgres') continue;
      peak += seen.residentBytes;
      if (sessions.has(seen.session)) continue;
      apartPeak += seen.residentBytes;
      this.#apart.set(seen.pid, seen.own);
    }
    this.#peakBytes = Math.max(this.#peakBytes, peak);
    this.#apartPeakBytes = Math.max(this.#apartPeakBytes, apartPeak);
  }

  /** What we watch keeps being watched when it goes on without its parent, or without its environment. */
  #isWatched(pid: number): boolean {
    const known = this.#known.get(pid);
    if (known !== undefined) return known;
    const environment = readOrNothing(`/proc/${pid}/environ`);
    // One that has just begun, or ends, shows nothing: look again.
    if (environment === '') return false;
    const parent = look(pid)?.parent ?? 0;
    const isWatched = environment.split('\0').includes(this.#mark) || this.#known.get(parent) === true;
    this.#known.set(pid, isWatched);
    return isWatched;
  }
}

function processes(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isInteger);
}

/** Undefined where it has ended. */
function look(pid: number): Seen | undefined {
  const stat = readOrNothing(`/proc/${pid}/stat`);
  const end = stat.lastIndexOf(')');
  if (end < 0) return undefined;
  // From the third field on; proc(5).
  const fields = stat.slice(end + 2).split(' ');
  const number = (field: number): number => Number(fields[field - 3] ?? 0);
  return {
    pid,
    parent: number(4),
    session: number(6),
    name: stat.slice(stat.indexOf('(') + 1, end),
    own: number(14) + number(15),
    childrens: number(16) + number(17),
    residentBytes: number(24) * PAGE_BYTES,
  };
}

function readOrNothing(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
