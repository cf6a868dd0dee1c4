import { Failure } from '../exit.ts';
import type { Deadline } from '../storage/deadline.ts';
import type { ListedObject } from '../storage/storage.ts';
import type { SystemId } from '../wal/control.ts';
import { objectKey, parseKey, systemPrefix, walPrefix } from '../wal/keys.ts';
import { formatTimeline, type WalName } from '../wal/name.ts';
import { asFailure, type Archive } from './archives.ts';
import type { Wanted } from './fetch.ts';

/** An object that could not be there if the wanted one really ended the history. */
export interface Gap {
  readonly archive: Archive;
  readonly later: string;
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
        'A wrong URL or prefix, or a disk that is not mounted, looks just so; recovery would open an empty database. ' +
        'If nothing was ever archived there, say allow_empty = true in [fetch] for this recovery, or leave that archive out of the settings.',
    });
  }
}

/**
 * The third proof: no archive holds anything that comes after the wanted file on its timeline; for a history
 * file, nothing of its timeline or a higher one. Returns the first contradiction, or undefined.
 * Errors: what the store's errors mean.
 */
export async function findLater(
  archives: readonly Archive[],
  wanted: Wanted,
  deadline: Deadline,
): Promise<Gap | undefined> {
  for (const archive of archives) {
    const later = await laterIn(archive, wanted, deadline);
    if (later !== undefined) return { archive, later };
  }
  return undefined;
}

async function laterIn(archive: Archive, wanted: Wanted, deadline: Deadline): Promise<string | undefined> {
  const { name, systemId } = wanted;
  const timeline = formatTimeline(name.timeline);
  const found =
    name.kind === 'history'
      ? await findListed(
          archive,
          walPrefix(systemId),
          { after: `${walPrefix(systemId)}${timeline}`, limit: 1 },
          (key) => parseKey(key)?.name.kind !== undefined,
          deadline,
        )
      : await findListed(
          archive,
          `${walPrefix(systemId)}${timeline}`,
          { after: objectKey(systemId, name) },
          (key) => parseKey(key)?.name.kind === 'segment',
          deadline,
        );
  return found?.key;
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

/** The failure that a gap ends in, when asking again did not close it. */
export function gapFailure(name: WalName, gap: Gap): Failure {
  return new Failure(
    'gap',
    `${name.name} is in no archive, but ${gap.archive.storage.url} holds ${gap.later}, which comes after it`,
    {
      hint:
        'WAL is missing in the middle: recovery stops here instead of opening the database without what follows. ' +
        'Bring the missing file back (another archive, a copy, pg_wal of the old server), or accept the loss with on_gap = "end" in [fetch].',
    },
  );
}
