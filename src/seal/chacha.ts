/**
 * ChaCha20-Poly1305 (RFC 8439) under one key, tags of 16 bytes at the end. The two runtimes have it in two places:
 * chacha-node.ts and chacha-webcrypto.ts; `#chacha` in package.json chooses.
 */
export interface Aead {
  /** Ciphertext and tag. What both take is read before they return, and may change while they work. */
  encrypt(nonce: Uint8Array, plaintext: Uint8Array): Promise<Uint8Array>;
  /** The plaintext; undefined where the tag does not match. */
  decrypt(nonce: Uint8Array, ciphertext: Uint8Array): Promise<Uint8Array | undefined>;
}

/** What both implementations export as `chacha`. */
export interface Chacha {
  /** `key`: 32 bytes. */
  importKey(key: Uint8Array): Promise<Aead>;
}

export const TAG_BYTES = 16;
