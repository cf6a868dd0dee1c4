import { Failure } from '../exit.ts';
import type { Deadline } from '../storage/deadline.ts';
import type { ListedObject } from '../storage/storage.ts';
import type { SystemId } from '../wal/control.ts';
import { objectKey, parseKey, systemPrefix, walPrefix } from '../wal/keys.ts';
import type { HistoryEntry } from '../wal/history.ts';
import { formatLsn } from '../wal/lsn.ts';
import { formatTimeline, segmentStart, type SegmentSize, type WalName } from '../wal/name.ts';
import { asFailure, type Archive } from './archives.ts';
import type { Wanted } from './fetch.ts';

/** Why the wanted file can't be the end of the history. */
export interface Gap {
  /** A clause: what is there, and where. */
  readonly evidence: string;
}

/**
 * The second proof of an absence: each archive holds something of this cluster. A wrong prefix and an unmounted
 * disk hold nothing, and answer 'absent' to every request. Errors: Failure `usage`, and what the store's errors mean.
 */
export async function proveSomethingThere(
  archives: readonly Archive[],
  systemId: SystemId,
  deadline: Deadline,
): Promise<void> {
  for (const archive of archives) {
    const first = await findListed(archive, systemPrefix(systemId), { limit: 1 }, () => true, deadline);
    if (first !== undefined) continue;
    throw new Failure('usage', `archive ${archive.storage.url} holds nothing of system ${systemId}`, {
      hint:
        'A wrong URL or prefix, or a disk that is not mounted, looks just so; recovery would end here and open the database without its WAL. ' +
        'If nothing was ever archived there, say allow_empty = true in [fetch] for this recovery, or leave that archive out of the settings.',
    });
  }
}

/**
 * The third proof: no archive holds the wanted file after all, or anything that comes after it on its timeline; for
 * a history file, anything of its timeline or a higher one. Returns the first contradiction, or undefined.
 * Errors: what the store's errors mean.
 */
export async function findLater(
  archives: readonly Archive[],
  wanted: Wanted,
  deadline: Deadline,
): Promise<Gap | undefined> {
  for (const archive of archives) {
    const later = await laterIn(archive, wanted, deadline);
    if (later === undefined) continue;
    const isItself = later === objectKey(wanted.systemId, wanted.name);
    return {
      evidence: `archive ${archive.storage.url} holds ${isItself ? 'it now' : `${later}, which comes after it`}`,
    };
  }
  return undefined;
}

async function laterIn(archive: Archive, { name, systemId }: Wanted, deadline: Deadline): Promise<string | undefined> {
  const ofTimeline = `${walPrefix(systemId)}${formatTimeline(name.timeline)}`;
  if (name.kind === 'history') {
    const options = { after: ofTimeline, limit: 1 };
    const isOurs = (key: string): boolean => parseKey(key) !== undefined;
    return (await findListed(archive, walPrefix(systemId), options, isOurs, deadline))?.key;
  }
  const wanted = objectKey(systemId, name);
  // From the wanted key on, itself included: it may have come after it was asked for.
  const isLater = (key: string): boolean => key === wanted || (key > wanted && parseKey(key)?.name.kind === 'segment');
  return (await findListed(archive, ofTimeline, { after: wanted.slice(0, -1) }, isLater, deadline))?.key;
}

/**
 * A history file in pg_wal may say that the wanted segment's timeline went on behind its end: the server doesn't ask
 * the child timeline for what lies before the fork, so a hole at the end of the parent shows nowhere else.
 */
export function findFork(
  { name }: Wanted,
  segmentSize: SegmentSize,
  histories: readonly { name: string; entries: readonly HistoryEntry[] }[],
): Gap | undefined {
  const start = name.kind === 'segment' ? segmentStart(name, segmentSize) : undefined;
  if (start === undefined) return undefined;
  for (const history of histories) {
    const parent = history.entries.find((entry) => entry.timeline === name.timeline);
    if (parent === undefined || parent.end < start + BigInt(segmentSize)) continue;
    return {
      evidence: `pg_wal/${history.name} says that timeline ${parent.timeline} went on to ${formatLsn(parent.end)}`,
    };
  }
  return undefined;
}

async function findListed(
  archive: Archive,
  prefix: string,
  options: { after?: string; limit?: number },
  matches: (key: string) => boolean,
  deadline: Deadline,
): Promise<ListedObject | undefined> {
  try {
    for await (const page of archive.storage.list(prefix, options, deadline)) {
      const found = page.find((object) => matches(object.key));
      if (found !== undefined) return found;
    }
    return undefined;
  } catch (error) {
    throw asFailure(error, archive.storage.url);
  }
}

/** The failure that a gap ends in, when asking again did not close it. `inPgWal`: what lies there under the name. */
export function gapFailure(name: WalName, gap: Gap, inPgWal: 'nothing' | 'unfinished'): Failure {
  const stale =
    inPgWal === 'unfinished'
      ? `; pg_wal/${name.name} is not that file, but an old one under its name, or one that was never finished`
      : '';
  const hint =
    name.kind === 'history'
      ? `Without it recovery would take the wrong branch, or use a timeline twice. Copy ${name.name} from pg_wal of any server ` +
        'that is on that timeline, and push it; or accept the loss with on_gap = "end" in [fetch].'
      : 'WAL is missing in the middle: recovery stops here instead of opening the database without what follows. ' +
        'Bring the missing file back (another archive, a copy, pg_wal of the old server), or accept the loss with on_gap = "end" in [fetch].';
  return new Failure('gap', `${name.name} is in no archive, but ${gap.evidence}${stale}`, { hint });
}
