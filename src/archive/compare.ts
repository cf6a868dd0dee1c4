import { Failure } from '../exit.ts';
import type { TrustedKeys } from '../seal/keys.ts';
import { inspect } from '../seal/unseal.ts';
import type { Deadline } from '../storage/deadline.ts';
import { StorageError } from '../storage/errors.ts';
import type { ObjectInfo } from '../storage/storage.ts';
import type { SystemId } from '../wal/control.ts';
import type { WalName } from '../wal/name.ts';
import type { Archive } from './archives.ts';
import { readObject } from './read.ts';

/** What tells one file's content from another's of the same name, without a key. */
export interface Content {
  readonly name: WalName;
  readonly systemId: SystemId;
  /** 64 hex digits; see `fingerprint` in src/seal. */
  readonly fingerprint: string;
  /** Of the file here, in bytes: for messages. */
  readonly length: number;
  /** Of the file here: for messages. */
  readonly modified: Date;
}

interface HeldObject {
  readonly fingerprint: string;
  readonly info: ObjectInfo;
  readonly payloadLength: number;
}

/** What the archive holds under a key, against the content that we have. */
export type Held =
  | { readonly is: 'identical' }
  | ({ readonly is: 'different' } & HeldObject)
  /** This content, but not signed by a trusted key; `signedBy` is the one that did (Ed25519, 64 hex digits), if any. */
  | ({ readonly is: 'unsigned'; readonly signedBy: string | undefined } & HeldObject)
  | { readonly is: 'damaged'; readonly reason: string };

/**
 * Reads the whole object under `key` and compares it with `content`: identical only if its payload matches its
 * label, the label's fingerprint is ours, and its signature is trusted where that is configured.
 * Errors: StorageError, `absent` where there is no such object.
 */
export async function compareHeld(
  archive: Archive,
  key: string,
  content: Content,
  trusted: TrustedKeys | undefined,
  deadline: Deadline,
): Promise<Held> {
  try {
    return await readObject(archive.storage, key, deadline, async (object): Promise<Held> => {
      const found = await inspect(object.bytes, { name: content.name, systemId: content.systemId }, trusted);
      if (!found.payloadMatches) return { is: 'damaged', reason: 'its payload does not match its label' };
      const { fingerprint, payloadLength, signature } = found.label;
      const what = { fingerprint, payloadLength, info: object.info };
      if (fingerprint !== content.fingerprint) return { is: 'different', ...what };
      if (found.trust !== 'untrusted') return { is: 'identical' };
      return { is: 'unsigned', signedBy: signature?.publicKey, ...what };
    });
  } catch (error) {
    if (error instanceof StorageError && error.kind === 'corrupt') return { is: 'damaged', reason: error.message };
    if (error instanceof Failure && error.kind === 'invalid') return { is: 'damaged', reason: error.message };
    throw error;
  }
}
