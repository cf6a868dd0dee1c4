import type { SystemId } from '../wal/control.ts';
import { parseSystemId } from '../wal/control.ts';
import { parseWalName } from '../wal/name.ts';
import { isSignedBy, type Signer } from './ed25519.ts';
import { invalid } from './invalid.ts';

/** The few public facts that an object carries about itself. docs/FORMAT.md, "Label". */
export interface Label {
  /** Of the WAL file. */
  readonly name: string;
  readonly systemId: SystemId;
  /** 64 lower-case hex digits. */
  readonly fingerprint: string;
  /** Bytes of all that follows the header. */
  readonly payloadLength: number;
  readonly payloadSha256: Uint8Array;
  readonly signature?: LabelSignature;
}

export interface LabelSignature {
  /** Ed25519, 64 lower-case hex digits. */
  readonly publicKey: string;
  /** 64 bytes. */
  readonly value: Uint8Array;
}

/** Keeps the signature from meaning anything elsewhere, and anything signed elsewhere from meaning something here. */
const SIGNATURE_CONTEXT = Buffer.from('walseal.org/label/v1\0', 'latin1');

const LABEL = new RegExp(
  '^walseal label v1\n' +
    'name (?<name>[!-~]+)\n' +
    'system (?<system>[0-9]+)\n' +
    'fingerprint (?<fingerprint>[0-9a-f]{64})\n' +
    'payload (?<length>[0-9]+) (?<sha256>[0-9a-f]{64})\n' +
    '(?:signed (?<key>[0-9a-f]{64}) (?<signature>[0-9a-f]{128})\n)?$',
);

/** The label's only form, byte for byte. */
export function encodeLabel(label: Label): Buffer {
  const { signature } = label;
  const signed = signature ? `signed ${signature.publicKey} ${hex(signature.value)}\n` : '';
  return Buffer.from(facts(label) + signed, 'latin1');
}

/** Parses a label, and takes nothing but its only form. Errors: Failure `invalid`. */
export function parseLabel(bytes: Uint8Array): Label {
  const groups = LABEL.exec(Buffer.from(bytes).toString('latin1'))?.groups;
  const { name, system, fingerprint, length, sha256, key, signature } = groups ?? {};
  if (!name || !system || !fingerprint || !length || !sha256)
    throw invalid('label is not a walseal label of version 1');
  if (parseWalName(name) === undefined) throw invalid(`label names "${name}", which is not the name of a WAL file`);
  const systemId = parseSystemId(system);
  if (systemId === undefined) throw invalid(`label has the system identifier "${system}", which is none`);
  const payloadLength = Number(length);
  if (!Number.isSafeInteger(payloadLength)) throw invalid(`label announces a payload of ${length} bytes`);
  const label: Label = {
    name,
    systemId,
    fingerprint,
    payloadLength,
    payloadSha256: Buffer.from(sha256, 'hex'),
    ...(key && signature && { signature: { publicKey: key, value: Buffer.from(signature, 'hex') } }),
  };
  if (!encodeLabel(label).equals(bytes)) throw invalid('label is not in its canonical form');
  return label;
}

/** The label with a signature over all its facts, the payload's digest among them. */
export function signLabel(label: Label, signer: Signer): Label {
  return { ...label, signature: { publicKey: signer.publicKey, value: signer.sign(signedBytes(label)) } };
}

/** Whether the signature is its key's own; which key that is says nothing about trust. */
export function isSignatureValid(label: Label, signature: LabelSignature): boolean {
  return isSignedBy(signature.publicKey, signedBytes(label), signature.value);
}

function signedBytes(label: Label): Buffer {
  return Buffer.concat([SIGNATURE_CONTEXT, Buffer.from(facts(label), 'latin1')]);
}

function facts(label: Label): string {
  return (
    'walseal label v1\n' +
    `name ${label.name}\n` +
    `system ${label.systemId}\n` +
    `fingerprint ${label.fingerprint}\n` +
    `payload ${label.payloadLength} ${hex(label.payloadSha256)}\n`
  );
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
