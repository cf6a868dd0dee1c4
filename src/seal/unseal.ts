import { createHash } from 'node:crypto';

import { openFileKey } from './file-key.ts';
import { takeHead } from './head.ts';
import type { OpenKeys, TrustedKeys } from './keys.ts';
import type { Label } from './label.ts';
import { openPayload } from './payload.ts';
import { Pieces } from './pieces.ts';
import { checkExpectation, demandTrust, judge, type Expectation, type Trust } from './trust.ts';

/** What can be said of an object without a private key. */
export interface Inspected {
  readonly label: Label;
  /** Whether the bytes after the header have the length and the digest that the label announces. */
  readonly payloadMatches: boolean;
  readonly trust: Trust;
  /** Bytes of the whole object. */
  readonly size: number;
}

/**
 * Reads a whole object and says what it is, as far as that needs no private key.
 * Errors: Failure `invalid` where the header or the label is malformed, of another file or cluster, or its signature
 * is wrong; those of `bytes` pass through.
 */
export async function inspect(
  bytes: AsyncIterable<Uint8Array>,
  expected: Expectation,
  trusted: TrustedKeys | undefined,
): Promise<Inspected> {
  const pieces = new Pieces(bytes);
  try {
    const { label, bytes: head } = await takeHead(pieces);
    checkExpectation(label, expected);
    const trust = judge(label, trusted);
    const hash = createHash('sha256');
    let length = 0;
    for await (const piece of pieces.rest()) {
      hash.update(piece);
      length += piece.length;
    }
    const payloadMatches = length === label.payloadLength && hash.digest().equals(label.payloadSha256);
    return { label, payloadMatches, trust, size: head.length + length };
  } finally {
    await pieces.close();
  }
}

/**
 * Opens an object and writes the file. `write` may be given bytes that a later check rejects: only when this
 * resolves are they the whole, right file. Bytes stay as they are until the promise of `write` has settled. Keys that
 * are still being loaded are waited for while the object is read; before them nothing is written.
 * Errors: Failure `invalid` for an object that is corrupt, not the expected one, or not trusted; `no-key` where no
 * identity opens it; those of `bytes`, `loading` and `write` pass through.
 */
export async function unseal(
  bytes: AsyncIterable<Uint8Array>,
  expected: Expectation,
  loading: OpenKeys | Promise<OpenKeys>,
  write: (chunk: Uint8Array) => Promise<void> | void,
): Promise<{ label: Label; length: number }> {
  const pieces = new Pieces(bytes);
  try {
    const heading = takeHead(pieces);
    // It is waited for when the keys are there.
    heading.catch(() => undefined);
    const keys = await loading;
    const { label, age } = await heading;
    checkExpectation(label, expected);
    demandTrust(label, keys.trusted);
    const fileKey = age && (await openFileKey(age, keys.identities));
    const { size } = await openPayload(pieces.rest(), label, fileKey, write);
    return { label, length: size };
  } finally {
    await pieces.close();
  }
}
