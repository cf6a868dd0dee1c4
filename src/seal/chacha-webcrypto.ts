import { webcrypto } from 'node:crypto';

import { TAG_BYTES, type Aead, type Chacha } from './chacha.ts';

const ALGORITHM = 'ChaCha20-Poly1305';

/** ChaCha20-Poly1305 of WebCrypto: bun has it nowhere else. It runs on other threads, so many at a time are fast. */
export const chacha: Chacha = {
  async importKey(raw) {
    const { subtle } = webcrypto;
    const key = await subtle.importKey('raw-secret', Uint8Array.from(raw), ALGORITHM, false, ['encrypt', 'decrypt']);
    const aead: Aead = {
      async encrypt(nonce, plaintext) {
        return new Uint8Array(await subtle.encrypt({ name: ALGORITHM, iv: nonce }, key, plaintext));
      },
      async decrypt(nonce, ciphertext) {
        if (ciphertext.length < TAG_BYTES) return undefined;
        try {
          return new Uint8Array(await subtle.decrypt({ name: ALGORITHM, iv: nonce }, key, ciphertext));
        } catch (error) {
          // Any other name is a fault of ours, not of the ciphertext.
          if (error instanceof Error && error.name === 'OperationError') return undefined;
          throw error;
        }
      },
    };
    return aead;
  },
};
