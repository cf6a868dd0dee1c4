import { Failure } from '../exit.ts';
import { createSigningKey, readPublicKey, readSigner, type Signer } from './ed25519.ts';
import { createIdentity, readIdentity, readRecipient, type X25519Identity, type X25519Recipient } from './x25519.ts';

/** What sealing needs: no secret but the signing key. */
export interface SealKeys {
  /** Who can open it. Empty: it is not encrypted. */
  readonly recipients: readonly X25519Recipient[];
  readonly signer?: Signer;
}

/** What opening needs. */
export interface OpenKeys {
  readonly identities: readonly X25519Identity[];
  /** Undefined: signatures are not demanded. */
  readonly trusted: TrustedKeys | undefined;
}

/** Public Ed25519 keys, 64 hex digits each, whose signature makes an object trusted. */
export type TrustedKeys = ReadonlySet<string>;

/** A file with a key in it; the path is for messages. */
export interface KeyFile {
  readonly text: string;
  readonly path: string;
}

/** Parses "age1...". Errors: Failure `usage`. */
export function parseRecipient(text: string): X25519Recipient {
  // Somebody who pastes the wrong half must not find it in the log.
  const shown = /secret/i.test(text) ? 'an age secret key' : `"${text}"`;
  return accept(
    readRecipient(text),
    `${shown} is not an age recipient`,
    'A recipient is a public key, "age1..." and 58 more characters, as age-keygen -y prints it.',
  );
}

/**
 * Parses an identity file as age-keygen writes it: one identity a line, comments after '#', empty lines.
 * Errors: Failure `usage`, with line numbers and never with a line.
 */
export function parseIdentities(text: string, path: string): X25519Identity[] {
  const identities = text.split('\n').flatMap((line, i) => {
    const trimmed = line.trim();
    if (trimmed === '' || trimmed.startsWith('#')) return [];
    return [accept(readIdentity(trimmed), `line ${i + 1} of ${path} is not an age identity`, IDENTITY_HINT)];
  });
  if (identities.length === 0) throw new Failure('usage', `${path} holds no age identity`, { hint: IDENTITY_HINT });
  return identities;
}

/** Parses the private key that signs: Ed25519, PEM, PKCS#8. Errors: Failure `usage`. */
export function parseSigner(text: string, path: string): Signer {
  return accept(
    readSigner(text),
    `${path} is not a signing key`,
    'Make one with "walseal keygen" or "openssl genpkey -algorithm ed25519".',
  );
}

/**
 * Parses the public keys that are trusted: Ed25519, PEM, SPKI, one a file. The host's own key is always among them.
 * Errors: Failure `usage`.
 */
export function parseTrusted(files: readonly KeyFile[], own?: Signer): TrustedKeys {
  const keys = files.map(
    ({ text, path }) =>
      accept(
        readPublicKey(text),
        `${path} is not a public signing key`,
        'Get it from the private one with "openssl pkey -pubout".',
      ).key,
  );
  return new Set(own === undefined ? keys : [own.publicKey, ...keys]);
}

/** A new age identity and its recipient, as age writes them. */
export function generateIdentity(): { identity: string; recipient: string } {
  return createIdentity();
}

/** A new signing key, both halves as PEM. */
export function generateSigningKey(): { privatePem: string; publicPem: string } {
  return createSigningKey();
}

const IDENTITY_HINT = 'An identity is a line "AGE-SECRET-KEY-1..." as age-keygen and "walseal keygen" write it.';

function accept<T extends object>(read: T | string, fact: string, hint: string): T {
  if (typeof read === 'string') throw new Failure('usage', `${fact}: ${read}`, { hint });
  return read;
}
