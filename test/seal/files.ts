import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll } from 'vitest';

import { generateIdentity, parseIdentities, parseRecipient } from '../../src/seal/keys.ts';
import type { SealInput } from '../../src/seal/seal.ts';
import { unseal } from '../../src/seal/unseal.ts';
import type { OpenKeys } from '../../src/seal/keys.ts';
import { parseSystemId, type SystemId } from '../../src/wal/control.ts';
import { parseWalName, type WalName } from '../../src/wal/name.ts';
import { inPieces } from './vectors.ts';

/** Files to seal, and a pair of keys, for the tests of one file. */

export const NAME = walName('000000010000000000000001');
export const SYSTEM = systemId('7390012345678901234');

/** A directory that goes when the test file is done. */
export function scratchDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'walseal-seal-'));
  afterAll(() => {
    rmSync(path, { recursive: true, force: true });
  });
  return path;
}

/** Writes a file and says how it is to be sealed. */
export function fileToSeal(directory: string, content: Uint8Array, name: WalName = NAME): SealInput {
  const path = join(directory, randomBytes(8).toString('hex'));
  writeFileSync(path, content);
  return { name, systemId: SYSTEM, nonce: Buffer.alloc(32, 7), path, length: statSync(path).size, level: 1 };
}

export function newKeys() {
  const { identity, recipient } = generateIdentity();
  return { text: identity, identities: parseIdentities(identity, 'a test'), recipients: [parseRecipient(recipient)] };
}

export async function gather(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(Uint8Array.from(part));
  return Buffer.concat(parts);
}

/** Opens an object; nothing is demanded but what the keys say. */
export async function opened(object: Uint8Array, keys: Partial<OpenKeys>, pieceBytes = object.length): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  const all: OpenKeys = { identities: [], trusted: undefined, ...keys };
  await unseal(inPieces(object, pieceBytes), { name: NAME, systemId: SYSTEM }, all, (part) => {
    parts.push(Uint8Array.from(part));
  });
  return Buffer.concat(parts);
}

export function walName(text: string): WalName {
  const name = parseWalName(text);
  if (name === undefined) throw new Error(`${text} is not the name of a WAL file`);
  return name;
}

function systemId(text: string): SystemId {
  const id = parseSystemId(text);
  if (id === undefined) throw new Error(`${text} is no system identifier`);
  return id;
}
