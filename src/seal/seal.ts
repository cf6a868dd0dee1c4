import { createHash, randomBytes } from 'node:crypto';

import { Failure } from '../exit.ts';
import type { SystemId } from '../wal/control.ts';
import type { WalName } from '../wal/name.ts';
import { makeBody, type SealedBody } from './body.ts';
import { FILE_KEY_BYTES, wrapFileKey } from './file-key.ts';
import { fingerprint } from './fingerprint.ts';
import { encodePlainHead, encodeSealedHead, HEAD_MAX_BYTES, takeHead } from './head.ts';
import { invalid } from './invalid.ts';
import type { SealKeys } from './keys.ts';
import { signLabel, type Label } from './label.ts';
import { sealInPasses, sealOnce, type SealedPayload } from './passes.ts';
import { largestFile, openPayload, type Lock } from './payload.ts';
import { following, Pieces } from './pieces.ts';
import { PAYLOAD_NONCE_BYTES } from './stream.ts';

/** Above it, memory would be the limit. */
const IN_MEMORY_MAX_BYTES = 64 * 1024 * 1024;

/** A WAL file that is to be sealed. */
export interface SealInput {
  readonly name: WalName;
  readonly systemId: SystemId;
  /** The cluster's `mock_authentication_nonce`, 32 bytes. */
  readonly nonce: Uint8Array;
  readonly path: string;
  /** Bytes; the file must have exactly these. */
  readonly length: number;
  /** zstd's compression level. */
  readonly level: number;
  /** The longest file that is kept in memory when it is sealed; given by tests. */
  readonly keptBytes?: number;
}

/** A sealed file, ready to be stored as often as needed. */
export interface Sealed {
  readonly label: Label;
  /** 64 lower-case hex digits, the label's. */
  readonly fingerprint: string;
  readonly body: SealedBody;
  readonly fileSha256: Uint8Array;
  /** Whether bytes read back from a store are exactly what was sealed. Errors: those of `bytes` pass through. */
  isCopy(bytes: AsyncIterable<Uint8Array>): Promise<boolean>;
  /**
   * Proves that bytes read back from a store are exactly what was sealed, and open with the file key that is still
   * in memory. Errors: Failure `damaged`; those of `bytes` pass through.
   */
  verifyCopy(bytes: AsyncIterable<Uint8Array>): Promise<void>;
}

/**
 * Seals a file: the payload first, then the header that holds its digest. Up to 64 MiB all is kept in memory. A
 * larger file is read again for each use of the body, sealed again with the same keys, and must come out the same.
 * Errors: Failure `invalid` where the file is not as announced or changes, `unwritable` where it can't be read,
 * `usage` for keys that can't be used.
 */
export async function seal(input: SealInput, keys: SealKeys): Promise<Sealed> {
  const { name, path, keptBytes = IN_MEMORY_MAX_BYTES } = input;
  if (input.length > largestFile(name)) {
    throw invalid(`${path} has ${input.length} bytes, a file named ${name.name} has at most ${largestFile(name)}`);
  }
  const lock = keys.recipients.length === 0 ? undefined : newLock();
  const payload = await (input.length <= keptBytes ? sealOnce(input, lock) : sealInPasses(input, lock));
  const label = makeLabel(input, payload, keys);
  const head = lock === undefined ? encodePlainHead(label) : await sealedHead(label, lock, keys);
  const { sha256 } = payload.file;
  const body = makeBody(head.length + payload.length, () => following(head, payload.open()));
  return {
    label,
    fingerprint: label.fingerprint,
    body,
    fileSha256: sha256,
    isCopy: (bytes) => isCopy(bytes, head, payload),
    verifyCopy: (bytes) => verifyCopy(bytes, head, label, lock, sha256),
  };
}

function newLock(): Lock {
  return { fileKey: randomBytes(FILE_KEY_BYTES), payloadNonce: randomBytes(PAYLOAD_NONCE_BYTES) };
}

function makeLabel({ name, systemId, nonce }: SealInput, payload: SealedPayload, { signer }: SealKeys): Label {
  const label: Label = {
    name: name.name,
    systemId,
    fingerprint: fingerprint(payload.file.sha256, nonce),
    payloadLength: payload.length,
    payloadSha256: payload.sha256,
  };
  return signer === undefined ? label : signLabel(label, signer);
}

async function sealedHead(label: Label, { fileKey }: Lock, { recipients }: SealKeys): Promise<Buffer> {
  const wraps = await Promise.all(recipients.map((recipient) => wrapFileKey(fileKey, recipient)));
  const head = encodeSealedHead(label, wraps, fileKey);
  if (head.length > HEAD_MAX_BYTES) {
    throw new Failure(
      'usage',
      `${recipients.length} recipients make a header of ${head.length} bytes, the limit is ${HEAD_MAX_BYTES}`,
    );
  }
  return head;
}

async function isCopy(bytes: AsyncIterable<Uint8Array>, head: Buffer, payload: SealedPayload): Promise<boolean> {
  const hash = createHash('sha256');
  const pieces = new Pieces(bytes);
  try {
    const copied = await pieces.takeHead(head.length, () => head.length);
    if (copied === undefined || !head.equals(copied)) return false;
    if (payload.kept !== undefined) return await areSame(pieces.rest(), payload.kept);
    let length = 0;
    for await (const piece of pieces.rest()) {
      hash.update(piece);
      length += piece.length;
    }
    return length === payload.length && hash.digest().equals(payload.sha256);
  } finally {
    await pieces.close();
  }
}

/** Whether the two are the same bytes, however they are cut. To compare is six times as fast as to compute a digest. */
async function areSame(pieces: AsyncIterable<Uint8Array>, kept: readonly Uint8Array[]): Promise<boolean> {
  const others = kept.values();
  let other: Uint8Array = new Uint8Array(0);
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length;) {
      if (other.length === 0) {
        const next = others.next();
        if (next.done === true) return false;
        other = next.value;
      }
      const bytes = Math.min(piece.length - at, other.length);
      if (Buffer.compare(piece.subarray(at, at + bytes), other.subarray(0, bytes)) !== 0) return false;
      at += bytes;
      other = other.subarray(bytes);
    }
  }
  return other.length === 0 && [...others].every((rest) => rest.length === 0);
}

async function verifyCopy(
  bytes: AsyncIterable<Uint8Array>,
  head: Buffer,
  label: Label,
  lock: Lock | undefined,
  fileSha256: Uint8Array,
): Promise<void> {
  const pieces = new Pieces(bytes);
  try {
    const copy = await takeHead(pieces);
    if (!head.equals(copy.bytes)) throw invalid('its header is not the one that was sent');
    const { sha256 } = await openPayload(pieces.rest(), label, lock?.fileKey, () => undefined);
    if (!fileSha256.every((byte, i) => byte === sha256[i])) throw invalid('it opens to another file');
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== 'invalid') throw error;
    throw new Failure('damaged', `copy read back of ${label.name} is not what was sent: ${error.message}`, {
      cause: error,
    });
  } finally {
    await pieces.close();
  }
}
