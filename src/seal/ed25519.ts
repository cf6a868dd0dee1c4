import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, verify, type KeyObject } from 'node:crypto';

/** Ed25519 (RFC 8032) keys as openssl makes and reads them: PEM, PKCS#8 for the private, SPKI for the public half. */

const PUBLIC_KEY_BYTES = 32;
const SPKI_LEAD = Buffer.from('302a300506032b6570032100', 'hex');
const PUBLIC_PEM = '-----BEGIN PUBLIC KEY-----';
const PRIVATE_PEM = '-----BEGIN PRIVATE KEY-----';

/** A private key that signs labels. */
export class Signer {
  /** 64 hex digits. */
  readonly publicKey: string;
  readonly #key: KeyObject;

  constructor(key: KeyObject) {
    this.#key = key;
    this.publicKey = rawPublicKey(createPublicKey(key));
  }

  /** 64 bytes. */
  sign(message: Uint8Array): Uint8Array {
    return sign(null, message, this.#key);
  }
}

/** Whether the owner of `publicKey` (64 hex digits) signed the message. False too for a key that is none. */
export function isSignedBy(publicKey: string, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    const key = createPublicKey({
      key: Buffer.concat([SPKI_LEAD, Buffer.from(publicKey, 'hex')]),
      format: 'der',
      type: 'spki',
    });
    return verify(null, message, key, signature);
  } catch {
    return false;
  }
}

/** A new key, both halves as PEM. */
export function createSigningKey(): { privatePem: string; publicPem: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    privatePem: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    publicPem: publicKey.export({ format: 'pem', type: 'spki' }).toString(),
  };
}

/** The signer, or what is wrong with the PEM; its text is never repeated. */
export function readSigner(pem: string): Signer | string {
  if (pem.includes('-----BEGIN ENCRYPTED PRIVATE KEY-----')) return 'it is protected by a passphrase';
  if (pem.includes(PUBLIC_PEM)) return 'it holds a public key, a private one is needed';
  if (!pem.includes(PRIVATE_PEM)) return 'it holds no PEM block "PRIVATE KEY" (PKCS#8)';
  const key = readKey(() => createPrivateKey(pem));
  return typeof key === 'string' ? key : new Signer(key);
}

/** The public key as 64 hex digits, or undefined and what is wrong with the PEM. */
export function readPublicKey(pem: string): { key: string } | string {
  // Given a private key node:crypto would derive the public one, and a secret would lie where nobody guards it.
  if (pem.includes('PRIVATE KEY-----')) return 'it holds a private key, the public one is needed';
  if (!pem.includes(PUBLIC_PEM)) return 'it holds no PEM block "PUBLIC KEY" (SPKI)';
  const key = readKey(() => createPublicKey(pem));
  return typeof key === 'string' ? key : { key: rawPublicKey(key) };
}

function readKey(read: () => KeyObject): KeyObject | string {
  try {
    const key = read();
    if (key.asymmetricKeyType === 'ed25519') return key;
    return `it holds a key of type ${key.asymmetricKeyType ?? 'unknown'}, not Ed25519`;
  } catch {
    return 'its PEM block cannot be read';
  }
}

function rawPublicKey(key: KeyObject): string {
  return key.export({ format: 'der', type: 'spki' }).subarray(-PUBLIC_KEY_BYTES).toString('hex');
}
