import { createPrivateKey, createPublicKey, diffieHellman, randomBytes, type KeyObject } from 'node:crypto';

import { decodeBech32, encodeBech32 } from './bech32.ts';

/** X25519 (RFC 7748) keys as age writes them: "age1..." to seal for, "AGE-SECRET-KEY-1..." to open with. */

const KEY_BYTES = 32;
const RECIPIENT_PREFIX = 'age';
const IDENTITY_PREFIX = 'AGE-SECRET-KEY-';
/** What precedes the 32 bytes in SubjectPublicKeyInfo and in PKCS#8 (RFC 8410): node:crypto takes no raw keys. */
const SPKI_LEAD = Buffer.from('302a300506032b656e032100', 'hex');
const PKCS8_LEAD = Buffer.from('302e020100300506032b656e04220420', 'hex');

/** Who can open an object: a public key. */
export interface X25519Recipient {
  /** "age1..." */
  readonly text: string;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
}

/** A private key. It keeps its secret from being printed by accident. */
export class X25519Identity {
  readonly recipient: X25519Recipient;
  readonly #key: KeyObject;

  /** `secret`: 32 bytes, any value. */
  constructor(secret: Uint8Array) {
    this.#key = createPrivateKey({ key: Buffer.concat([PKCS8_LEAD, secret]), format: 'der', type: 'pkcs8' });
    this.recipient = toRecipient(
      createPublicKey(this.#key).export({ format: 'der', type: 'spki' }).subarray(-KEY_BYTES),
    );
  }

  /** The shared secret with the owner of `publicKey`; undefined for a point that would make it all zero. */
  agree(publicKey: Uint8Array): Uint8Array | undefined {
    const other = createPublicKey({ key: Buffer.concat([SPKI_LEAD, publicKey]), format: 'der', type: 'spki' });
    try {
      const shared = diffieHellman({ privateKey: this.#key, publicKey: other });
      return shared.every((byte) => byte === 0) ? undefined : shared;
    } catch {
      // The only way to fail here: the libraries refuse an all-zero result themselves (RFC 7748, section 6.1).
      return undefined;
    }
  }
}

/** A new identity, for one use. */
export function newIdentity(): X25519Identity {
  return new X25519Identity(randomBytes(KEY_BYTES));
}

/** A new identity in its textual form, and its recipient. */
export function createIdentity(): { identity: string; recipient: string } {
  const secret = randomBytes(KEY_BYTES);
  return { identity: encodeBech32(IDENTITY_PREFIX, secret), recipient: new X25519Identity(secret).recipient.text };
}

/** The recipient, or what is wrong with the text. */
export function readRecipient(text: string): X25519Recipient | string {
  const bytes = readKey(RECIPIENT_PREFIX, text);
  return typeof bytes === 'string' ? bytes : { text, publicKey: bytes };
}

/** The identity, or what is wrong with the text; the text is never repeated. */
export function readIdentity(text: string): X25519Identity | string {
  const bytes = readKey(IDENTITY_PREFIX, text);
  return typeof bytes === 'string' ? bytes : new X25519Identity(bytes);
}

function toRecipient(publicKey: Uint8Array): X25519Recipient {
  return { text: encodeBech32(RECIPIENT_PREFIX, publicKey), publicKey };
}

function readKey(prefix: string, text: string): Uint8Array | string {
  const bytes = decodeBech32(prefix, text);
  if (typeof bytes === 'string' || bytes.length === KEY_BYTES) return bytes;
  return `it holds ${bytes.length} bytes instead of ${KEY_BYTES}`;
}
