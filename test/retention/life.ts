/**
 * The life of a cluster, made up of events, and what it leaves in an archive: segments, histories, backups. Times and
 * names are as servers make them; segments are 16 MB.
 */
import type { BaseBackup } from '../../src/retention/base-backup.ts';
import type { HistoryOfBackup } from '../../src/retention/vouched.ts';
import type { ListedObject } from '../../src/storage/storage.ts';
import { parseBackupHistory } from '../../src/wal/backup.ts';
import { parseSystemId } from '../../src/wal/control.ts';
import { formatLsn, toLsn } from '../../src/wal/lsn.ts';
import { segmentNameAt, toSegmentSize, toTimelineId } from '../../src/wal/name.ts';
import { known } from '../wal/arbitraries.ts';

export const SYSTEM = known(parseSystemId('7311111111111111111'));
export const MEGABYTES_16 = known(toSegmentSize(2 ** 24));
export const HOUR_MS = 3_600_000;
const SIZE = BigInt(MEGABYTES_16);
/** Where the first timeline begins to be archived: the numbers of segments roll over to another 4 GiB soon after. */
const FIRST = 250n * SIZE;
const BEGAN = Date.UTC(2026, 0);

/** A server that writes on a timeline. */
interface Branch {
  readonly timeline: number;
  /** The history file's entries. */
  readonly history: readonly { readonly timeline: number; readonly end: bigint }[];
  readonly begin: bigint;
  lsn: bigint;
  /** The number of the next segment that will be archived. */
  next: bigint;
}

export interface Archived {
  readonly name: string;
  modifiedMs: number;
}

/** What is left of a life. */
export interface Remains {
  readonly objects: Map<string, Archived>;
  /** By timeline; text as the server writes it. */
  readonly histories: ReadonlyMap<number, string>;
  readonly backups: readonly BaseBackup[];
  readonly backupHistories: readonly HistoryOfBackup[];
  /** What the backup history files say, by name. */
  readonly texts: ReadonlyMap<string, string>;
  readonly nowMs: number;
}

export function nameAt(timeline: number, number: bigint | number): string {
  return segmentNameAt(known(toTimelineId(timeline)), toLsn(BigInt(number) * SIZE), MEGABYTES_16).name;
}

/** The key of a WAL file, put together here once more. */
export function keyOf(name: string): string {
  return `${SYSTEM}/wal/${name.endsWith('.history') ? '' : `${name.slice(0, 16)}/`}${name}`;
}

export class Life {
  readonly #branches: Branch[];
  readonly #objects = new Map<string, Archived>();
  readonly #histories = new Map<number, string>();
  readonly #backups: BaseBackup[] = [];
  readonly #backupHistories: HistoryOfBackup[] = [];
  readonly #texts = new Map<string, string>();
  readonly #written = new Map<string, number>();
  #nowMs = BEGAN;

  constructor(firstTimeline: number) {
    this.#branches = [{ timeline: firstTimeline, history: [], begin: 0n, lsn: FIRST + 100n, next: FIRST / SIZE }];
  }

  wait(hours: number): void {
    this.#nowMs += hours * HOUR_MS;
  }

  /** The server writes so many bytes; every segment that it finishes is archived. */
  write(which: number, bytes: bigint): void {
    const branch = this.#branch(which);
    branch.lsn += bytes;
    for (; (branch.next + 1n) * SIZE <= branch.lsn; branch.next += 1n) {
      this.#nowMs += 60_000;
      this.#put(nameAt(branch.timeline, branch.next));
    }
  }

  /** A standby is promoted: the new timeline begins where the old one is; its last segment stays behind as .partial. */
  promote(which: number): void {
    const parent = this.#branch(which);
    if (parent.lsn % SIZE !== 0n) this.#put(`${nameAt(parent.timeline, parent.lsn / SIZE)}.partial`);
    this.#fork(parent, parent.lsn);
  }

  /**
   * A recovery to `which` that stops at a part of what is there: at an earlier point, perhaps before its own fork.
   * The server names the target timeline as the parent whatever timeline it has stopped on.
   */
  recover(which: number, back: bigint, isOnBoundary: boolean): void {
    const target = this.#branch(which);
    const point = target.lsn - back < FIRST + 200n ? FIRST + 200n : target.lsn - back;
    this.#fork(target, isOnBoundary ? ((point + SIZE - 1n) / SIZE) * SIZE : point);
  }

  #fork(target: Branch, at: bigint): void {
    const lsn = at > target.lsn ? target.lsn : at;
    const timeline = Math.max(...this.#branches.map((branch) => branch.timeline)) + 1;
    const history = [...target.history, { timeline: target.timeline, end: lsn }];
    const text = history.map(
      ({ timeline: id, end }) => `${id}\t${formatLsn(toLsn(end))}\tno recovery target specified\n`,
    );
    const name = `${timeline.toString(16).toUpperCase().padStart(8, '0')}.history`;
    this.#histories.set(timeline, text.join('\n'));
    this.#put(name);
    this.#branches.push({ timeline, history, begin: lsn, lsn, next: lsn / SIZE });
  }

  /** A backup of a server: it starts where the server is, and ends after it has written some more. */
  backup(
    which: number,
    { bytes, from, brings }: { bytes: bigint; from: 'primary' | 'standby'; brings: boolean },
  ): void {
    this.#take(which, bytes, from, brings, undefined);
  }

  /** A backup of a standby that began so many bytes before its primary changed, and ends now, on the new timeline. */
  backupOver(which: number, before: bigint): void {
    const branch = this.#branch(which);
    const fork = branch.history.at(-1);
    if (fork === undefined || branch.lsn < fork.end + 10n) return;
    const start = { timeline: fork.timeline, lsn: toLsn(fork.end - before) };
    const began = this.#branches.find(({ timeline }) => timeline === fork.timeline)?.begin ?? 0n;
    if (!isOnWay(branch, start) || start.lsn < began || start.lsn < FIRST) return;
    const stop = { timeline: branch.timeline, lsn: toLsn(branch.lsn) };
    const ranges = [
      { ...start, start: start.lsn, end: toLsn(fork.end) },
      { ...stop, start: toLsn(fork.end), end: stop.lsn },
    ];
    this.#add({ label: 'over', start, stop, ranges, startedAt: new Date(this.#nowMs), ownWal: new Set() }, undefined);
  }

  /** An incremental backup upon the newest backup that is on this server's own way. */
  increment(which: number, bytes: bigint): void {
    const branch = this.#branch(which);
    const parent = this.#backups.findLast(({ start }) => isOnWay(branch, start) && start.lsn < branch.lsn);
    if (parent !== undefined) this.#take(which, bytes, 'primary', false, parent);
  }

  #take(
    which: number,
    bytes: bigint,
    from: 'primary' | 'standby',
    brings: boolean,
    parent: BaseBackup | undefined,
  ): void {
    const branch = this.#branch(which);
    branch.lsn += 40n;
    const start = { timeline: branch.timeline, lsn: toLsn(branch.lsn) };
    const startedAt = new Date(this.#nowMs);
    const number = this.#backups.length + 1;
    const label = `${parent ? 'increment' : from} ${number}`;
    this.write(which, bytes + 200n);
    const stop = { timeline: branch.timeline, lsn: toLsn(branch.lsn) };
    if (from === 'primary') {
      // It switches to the next segment, so that its last one is archived.
      this.write(which, SIZE - (branch.lsn % SIZE));
      branch.lsn += 100n;
      this.#archiveHistory(start, stop, label);
    }
    const ownWal = new Set<string>();
    for (let each = start.lsn / SIZE; brings && each <= (stop.lsn - 1n) / SIZE; each += 1n)
      ownWal.add(nameAt(branch.timeline, each));
    const ranges = [{ timeline: start.timeline, start: start.lsn, end: stop.lsn }];
    this.#add({ label, start, stop, ranges, startedAt, ownWal }, parent);
  }

  #add(
    told: Pick<BaseBackup, 'label' | 'start' | 'stop' | 'ranges' | 'startedAt' | 'ownWal'>,
    parent: BaseBackup | undefined,
  ): void {
    this.#nowMs += 60_000;
    this.#backups.push({
      ...told,
      path: `file:///backups/${this.#backups.length + 1}`,
      kind: parent ? 'incremental' : 'full',
      // Before 17 the files of a backup may not tell: then its backup history file must.
      systemId: told.label.startsWith('primary') ? undefined : SYSTEM,
      segmentSize: MEGABYTES_16,
      stoppedAt: new Date(this.#nowMs),
      incrementalFrom: parent?.start,
      problems: [],
    });
  }

  #archiveHistory(start: BaseBackup['start'], stop: BaseBackup['stop'], label: string): void {
    const offset = (start.lsn % SIZE).toString(16).toUpperCase().padStart(8, '0');
    const file = nameAt(start.timeline, start.lsn / SIZE);
    const name = `${file}.${offset}.backup`;
    this.#put(name);
    const text = [
      `START WAL LOCATION: ${formatLsn(start.lsn)} (file ${file})`,
      `STOP WAL LOCATION: ${formatLsn(stop.lsn)} (file ${nameAt(stop.timeline, (stop.lsn - 1n) / SIZE)})`,
      `CHECKPOINT LOCATION: ${formatLsn(start.lsn)}`,
      'BACKUP METHOD: streamed',
      'BACKUP FROM: primary',
      'START TIME: 2026-01-01 00:00:00 UTC',
      `LABEL: ${label}`,
      `START TIMELINE: ${start.timeline}`,
      'STOP TIME: 2026-01-01 00:00:00 UTC',
      `STOP TIMELINE: ${stop.timeline}`,
      '',
    ].join('\n');
    this.#texts.set(name, text);
    this.#backupHistories.push({ name, history: parseBackupHistory(text) });
  }

  /** One of the archived segments is lost. */
  lose(which: number): void {
    const segments = [...this.#objects.keys()].filter((name) => name.length === 24);
    const name = segments[which % Math.max(segments.length, 1)];
    if (name !== undefined) this.#objects.delete(name);
  }

  /** One of the archived segments is brought back late: its object is new. */
  touch(which: number): void {
    const objects = [...this.#objects.values()].filter(({ name }) => name.length === 24);
    const object = objects[which % Math.max(objects.length, 1)];
    if (object !== undefined) object.modifiedMs = this.#nowMs;
  }

  /** When an object was first archived, whatever its time says now. */
  writtenMs(name: string): number {
    return this.#written.get(name) ?? Number.NaN;
  }

  remains(): Remains {
    return {
      objects: this.#objects,
      histories: this.#histories,
      backups: this.#backups,
      backupHistories: this.#backupHistories,
      texts: this.#texts,
      nowMs: this.#nowMs,
    };
  }

  #put(name: string): void {
    this.#written.set(name, this.#nowMs);
    this.#objects.set(name, { name, modifiedMs: this.#nowMs });
  }

  #branch(which: number): Branch {
    return known(this.#branches[which % this.#branches.length]);
  }
}

/** Whether a server on this branch has the WAL of this position in its past. */
function isOnWay(branch: Branch, { timeline, lsn }: BaseBackup['start']): boolean {
  if (timeline === branch.timeline) return true;
  const index = branch.history.findIndex((entry) => entry.timeline === timeline);
  return index >= 0 && branch.history.slice(index).every(({ end }) => lsn < end);
}

/** A listing of what is left, as a store gives it: in pages, by key. */
export async function* listing(remains: Remains, pageSize = 7): AsyncGenerator<readonly ListedObject[]> {
  const objects = [...remains.objects.values()]
    .map(({ name, modifiedMs }) => ({ key: keyOf(name), size: 1000, modified: new Date(modifiedMs) }))
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  for (let index = 0; index < objects.length; index += pageSize) yield objects.slice(index, index + pageSize);
}
