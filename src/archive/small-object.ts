import { Failure } from '../exit.ts';
import type { OpenKeys } from '../seal/keys.ts';
import { unseal } from '../seal/unseal.ts';
import type { Deadline } from '../storage/deadline.ts';
import type { SystemId } from '../wal/control.ts';
import { objectKey } from '../wal/keys.ts';
import type { BackupName, HistoryName } from '../wal/name.ts';
import { asFailure, type Archive } from './archives.ts';
import { readObject } from './read.ts';

/** Far above what a history of all timelines can have that anybody has seen. */
const MOST_BYTES = 1024 * 1024;
/** Objects that are read at the same time. */
const TOGETHER = 8;

/**
 * Reads small text files of an archive, a history or a backup history each, opened and checked to the last byte.
 * Errors: Failure `invalid` for one that is corrupt, too large, or not trusted; `no-key` where no identity opens it;
 * what the store's errors mean.
 */
export async function readTexts<Name extends HistoryName | BackupName>(
  archive: Archive,
  names: readonly Name[],
  systemId: SystemId,
  keys: OpenKeys,
  deadline: Deadline,
): Promise<{ readonly name: Name; readonly text: string }[]> {
  const texts: { readonly name: Name; readonly text: string }[] = [];
  for (let start = 0; start < names.length; start += TOGETHER) {
    const some = names.slice(start, start + TOGETHER);
    texts.push(
      ...(await Promise.all(
        some.map(async (name) => ({ name, text: await readText(archive, name, systemId, keys, deadline) })),
      )),
    );
  }
  return texts;
}

async function readText(
  archive: Archive,
  name: HistoryName | BackupName,
  systemId: SystemId,
  keys: OpenKeys,
  deadline: Deadline,
): Promise<string> {
  try {
    return await readObject(archive.storage, objectKey(systemId, name), deadline, async ({ bytes }) => {
      const pieces: Uint8Array[] = [];
      let length = 0;
      await unseal(bytes, { name, systemId }, keys, (piece) => {
        length += piece.length;
        if (length > MOST_BYTES) throw new Failure('invalid', `it has more than ${MOST_BYTES} bytes`);
        pieces.push(Buffer.from(piece));
      });
      return Buffer.concat(pieces).toString('utf8');
    });
  } catch (error) {
    if (!(error instanceof Failure)) throw asFailure(error, archive.storage.url);
    throw new Failure(error.kind, `archive ${archive.storage.url}: ${name.name}: ${error.message}`, {
      hint: error.hint,
      cause: error,
    });
  }
}
