import { createHash, createPrivateKey } from 'node:crypto';

import { encodeAgeHeader, type Stanza } from '../../src/seal/age-header.ts';
import { Signer } from '../../src/seal/ed25519.ts';
import { wrapFileKey } from '../../src/seal/file-key.ts';
import { fingerprint } from '../../src/seal/fingerprint.ts';
import { encodeLabel, signLabel, type Label } from '../../src/seal/label.ts';
import { encodeFileFrame, encodeLabelFrame } from '../../src/seal/skippable.ts';
import { encryptChunks, payloadKey } from '../../src/seal/stream.ts';
import { X25519Identity } from '../../src/seal/x25519.ts';
import { zstd } from '../../src/seal/zstd-napi.ts';
import { parseSystemId } from '../../src/wal/control.ts';
import { random } from './random.ts';

/** How one object departs from the right one; each function is given the right thing and returns what takes its place. */
export interface Plan {
  readonly content?: Buffer;
  readonly name?: string;
  readonly encrypted?: boolean;
  readonly signedBy?: 'host' | 'old-host' | 'other-host';
  readonly fileFrame?: (right: Buffer) => Buffer;
  readonly frame?: (right: Buffer) => Buffer;
  readonly payload?: (right: Buffer) => Buffer;
  readonly label?: (right: Label) => Label;
  readonly labelText?: (right: string) => string;
  readonly stanzas?: (right: Stanza[]) => Stanza[];
  readonly head?: (right: Buffer) => Buffer;
}

export const NAME = '000000010000000000000001';
export const SYSTEM = systemId('7390012345678901234');
export const OTHER_SYSTEM = systemId('7390099999999999999');
export const CONTENT = Buffer.from('What a segment holds is of no concern to its seal.\n'.repeat(6), 'latin1');

const CLUSTER_NONCE = random('cluster nonce', 32);
const ED25519_LEAD = Buffer.from('302e020100300506032b657004220420', 'hex');

/** An object sealed for alice and bob; `file` makes its keys its own. */
export async function build(file: string, plan: Plan = {}): Promise<Buffer> {
  const keep = <T>(right: T): T => right;
  const content = plan.content ?? CONTENT;
  const encrypted = plan.encrypted ?? true;
  const sha256 = createHash('sha256').update(content).digest();
  const fileFrame = (plan.fileFrame ?? keep)(encodeFileFrame({ size: content.length, sha256 }));
  const frame = (plan.frame ?? keep)(await compress(content));
  const plaintext = Buffer.concat([fileFrame, frame]);
  const fileKey = random(`file key ${file}`, 16);
  const payload = (plan.payload ?? keep)(encrypted ? await encrypt(file, fileKey, plaintext) : plaintext);
  const right: Label = {
    name: plan.name ?? NAME,
    systemId: SYSTEM,
    fingerprint: fingerprint(sha256, CLUSTER_NONCE),
    payloadLength: payload.length,
    payloadSha256: createHash('sha256').update(payload).digest(),
  };
  const signed = plan.signedBy === undefined ? right : signLabel(right, signer(plan.signedBy));
  const label = (plan.label ?? keep)(signed);
  const text = Buffer.from((plan.labelText ?? keep)(encodeLabel(label).toString('latin1')), 'latin1');
  const stanzas = [{ type: 'walseal-label', args: ['v1'], body: text }, ...(await wraps(file, fileKey))];
  const head = encrypted ? encodeAgeHeader((plan.stanzas ?? keep)(stanzas), fileKey) : encodeLabelFrame(text);
  return Buffer.concat([(plan.head ?? keep)(head), payload]);
}

async function encrypt(file: string, fileKey: Uint8Array, plaintext: Buffer): Promise<Buffer> {
  const nonce = random(`payload nonce ${file}`, 16);
  return Buffer.concat([nonce, await gather(encryptChunks(await payloadKey(fileKey, nonce), pieces(plaintext)))]);
}

async function compress(content: Buffer): Promise<Buffer> {
  return gather(zstd.compress(pieces(content), { level: 3, size: content.length }));
}

export function signer(host: string): Signer {
  const key = Buffer.concat([ED25519_LEAD, random(`signing ${host}`, 32)]);
  return new Signer(createPrivateKey({ key, format: 'der', type: 'pkcs8' }));
}

async function wraps(file: string, fileKey: Uint8Array): Promise<Stanza[]> {
  const made = ['alice', 'bob'].map((who) => {
    const { recipient } = new X25519Identity(random(`identity ${who}`, 32));
    return wrapFileKey(fileKey, recipient, new X25519Identity(random(`ephemeral ${file} ${who}`, 32)));
  });
  return Promise.all(made);
}

async function* pieces(bytes: Buffer): AsyncGenerator<Uint8Array> {
  yield bytes;
}

async function gather(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of source) parts.push(part);
  return Buffer.concat(parts);
}

function systemId(text: string) {
  const parsed = parseSystemId(text);
  if (parsed === undefined) throw new Error(`${text} is no system identifier`);
  return parsed;
}
