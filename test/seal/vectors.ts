import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Vector } from '../../scripts/seal-vectors/vector.ts';
import { Failure } from '../../src/exit.ts';
import { parseIdentities, parseTrusted, type OpenKeys } from '../../src/seal/keys.ts';
import type { Expectation } from '../../src/seal/trust.ts';
import { unseal } from '../../src/seal/unseal.ts';
import { parseSystemId } from '../../src/wal/control.ts';
import { parseWalName } from '../../src/wal/name.ts';

/** The test vectors of docs/FORMAT.md, and the way to put an object to the test; under Node and under bun. */

const DIRECTORY = join(import.meta.dirname, '..', 'fixtures', 'seal');

export interface ListedVector extends Vector {
  /** Of the object. */
  readonly sha256: string;
}

export function readVectors(): ListedVector[] {
  return JSON.parse(readVectorFile('vectors.json').toString()) as ListedVector[];
}

export function readVectorFile(name: string): Buffer {
  return readFileSync(join(DIRECTORY, name));
}

/** What became of an object: the file's size and digest, or the kind and the fact of the failure. */
export type Result =
  | { readonly outcome: 'opens'; readonly size: number; readonly sha256: string }
  | { readonly outcome: string; readonly fact: string; readonly written: number };

/** Opens the object as the vector says. Throws what is no Failure. */
export async function tryVector(
  vector: Vector,
  object: Uint8Array = readVectorFile(vector.file),
  pieceBytes = object.length,
): Promise<Result> {
  const hash = createHash('sha256');
  let size = 0;
  try {
    const { length } = await unseal(inPieces(object, pieceBytes), expectationOf(vector), keysOf(vector), (piece) => {
      hash.update(piece);
      size += piece.length;
    });
    if (length !== size) throw new Error(`${length} bytes were said, ${size} written`);
    return { outcome: 'opens', size, sha256: hash.digest('hex') };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return { outcome: error.kind, fact: error.message, written: size };
  }
}

function expectationOf({ expected }: Vector): Expectation {
  const name = parseWalName(expected.name);
  const systemId = parseSystemId(expected.systemId);
  if (name === undefined || systemId === undefined) throw new Error('a vector expects what cannot be');
  return { name, systemId };
}

/** Read once: a vector is tried a thousand times, damaged in a thousand ways. */
const known = new Map<string, OpenKeys>();

function keysOf({ identity, trusted }: Vector): OpenKeys {
  const who = JSON.stringify([identity, trusted]);
  const file = `${identity}.identity.txt`;
  const keys = known.get(who) ?? {
    identities: identity === 'nobody' ? [] : parseIdentities(readVectorFile(file).toString(), file),
    trusted: trusted && trustedHosts(trusted),
  };
  known.set(who, keys);
  return keys;
}

function trustedHosts(hosts: readonly string[]): OpenKeys['trusted'] {
  return parseTrusted(
    hosts.map((host) => ({ text: readVectorFile(`${host}.public.pem`).toString(), path: `${host}.public.pem` })),
  );
}

export async function* inPieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}
