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
import { largestFile, openPayload, sealPayload, type Lock } from './payload.ts';
import { Pieces } from './pieces.ts';
import { changed, openSource, readUnchanged, type Source } from './source.ts';
import { PAYLOAD_NONCE_BYTES } from './stream.ts';

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
}

/** A sealed file, ready to be stored as often as needed. */
export interface Sealed {
  readonly label: Label;
  /** 64 lower-case hex digits, the label's. */
  readonly fingerprint: string;
  readonly body: SealedBody;
  readonly fileSha256: Uint8Array;
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
  const { name, path } = input;
  if (input.length > largestFile(name)) {
    throw invalid(`${path} has ${input.length} bytes, a file named ${name.name} has at most ${largestFile(name)}`);
  }
  const source = await openSource(path, input.length);
  const lock = keys.recipients.length === 0 ? undefined : newLock();
  const payload = await measurePayload(source, input, lock);
  const label = makeLabel(input, source, payload, keys);
  const head = lock === undefined ? encodePlainHead(label) : await sealedHead(label, lock, keys);
  const { kept } = payload;
  const again = (): AsyncIterable<Uint8Array> =>
    kept === undefined ? sameAgain(sealPayload(source, source.read(), input.level, lock), payload, path) : each(kept);
  return {
    label,
    fingerprint: label.fingerprint,
    body: makeBody(head.length + payload.length, () => following(head, again())),
    fileSha256: source.sha256,
    verifyCopy: (bytes) => verifyCopy(bytes, head, label, lock, source),
  };
}

function newLock(): Lock {
  return { fileKey: randomBytes(FILE_KEY_BYTES), payloadNonce: randomBytes(PAYLOAD_NONCE_BYTES) };
}

interface Payload {
  /** Bytes. */
  readonly length: number;
  readonly sha256: Uint8Array;
  /** All of it, where the file is small. */
  readonly kept: readonly Uint8Array[] | undefined;
}

async function measurePayload(source: Source, { path, level }: SealInput, lock: Lock | undefined): Promise<Payload> {
  const content = source.inMemory ? source.read() : readUnchanged(source, path);
  const kept: Uint8Array[] = [];
  const hash = createHash('sha256');
  let length = 0;
  for await (const piece of sealPayload(source, content, level, lock)) {
    hash.update(piece);
    length += piece.length;
    if (source.inMemory) kept.push(piece);
  }
  return { length, sha256: hash.digest(), kept: source.inMemory ? kept : undefined };
}

function makeLabel(
  { name, systemId, nonce }: SealInput,
  source: Source,
  payload: Payload,
  { signer }: SealKeys,
): Label {
  const label: Label = {
    name: name.name,
    systemId,
    fingerprint: fingerprint(source.sha256, nonce),
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

/** The pieces, the last one only if all together are what was measured: no whole wrong object can come out. */
async function* sameAgain(
  pieces: AsyncIterable<Uint8Array>,
  { length, sha256 }: Payload,
  path: string,
): AsyncGenerator<Uint8Array> {
  const hash = createHash('sha256');
  let seen = 0;
  let held: Uint8Array | undefined;
  for await (const piece of pieces) {
    if (held !== undefined) yield held;
    hash.update(piece);
    seen += piece.length;
    held = piece;
    if (seen > length) throw changed(path);
  }
  if (seen !== length || !hash.digest().equals(sha256)) throw changed(path);
  if (held !== undefined) yield held;
}

async function* following(head: Uint8Array, payload: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield head;
  yield* payload;
}

async function* each(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

async function verifyCopy(
  bytes: AsyncIterable<Uint8Array>,
  head: Buffer,
  label: Label,
  lock: Lock | undefined,
  source: Source,
): Promise<void> {
  const pieces = new Pieces(bytes);
  try {
    const copy = await takeHead(pieces);
    if (!head.equals(copy.bytes)) throw invalid('its header is not the one that was sent');
    const { sha256 } = await openPayload(pieces.rest(), label, lock?.fileKey, () => undefined);
    if (!source.sha256.every((byte, i) => byte === sha256[i])) throw invalid('it opens to another file');
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== 'invalid') throw error;
    throw new Failure('damaged', `copy read back of ${label.name} is not what was sent: ${error.message}`, {
      cause: error,
    });
  } finally {
    await pieces.close();
  }
}
