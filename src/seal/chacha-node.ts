import { createCipheriv, createDecipheriv } from 'node:crypto';

import { TAG_BYTES, type Aead, type Chacha } from './chacha.ts';

const ALGORITHM = 'chacha20-poly1305';
const TAG = { authTagLength: TAG_BYTES };

/** ChaCha20-Poly1305 of node:crypto: synchronous, so the promises are fulfilled at once. */
export const chacha: Chacha = {
  importKey(key) {
    const own = Uint8Array.from(key);
    const aead: Aead = {
      encrypt(nonce, plaintext) {
        const cipher = createCipheriv(ALGORITHM, own, nonce, TAG);
        return Promise.resolve(Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]));
      },
      decrypt(nonce, ciphertext) {
        if (ciphertext.length < TAG_BYTES) return Promise.resolve(undefined);
        const decipher = createDecipheriv(ALGORITHM, own, nonce, TAG);
        decipher.setAuthTag(ciphertext.subarray(-TAG_BYTES));
        const plaintext = decipher.update(ciphertext.subarray(0, -TAG_BYTES));
        try {
          decipher.final();
        } catch {
          return Promise.resolve(undefined);
        }
        return Promise.resolve(plaintext);
      },
    };
    return Promise.resolve(aead);
  },
};
