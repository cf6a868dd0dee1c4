import { createHash } from 'node:crypto';

import type { Chacha } from '../../src/seal/chacha.ts';
import type { Result } from './vectors.ts';

/** What one runtime found; the two must find the same. */
export interface RuntimeReport {
  readonly aead: readonly string[];
  /** In the order of the vectors. */
  readonly vectors: readonly Result[];
  /** Whether its zstd writes into buffers that are used again. */
  readonly reusesBuffers: boolean;
  /** File name to the SHA-256 of what came out. */
  readonly opened: Readonly<Record<string, string>>;
}

const LENGTHS = [0, 1, 15, 16, 17, 63, 64, 65, 1000, 65_535, 65_536];

/** Digests of ciphertexts; throws where the implementation does not open its own, or opens a changed one. */
export async function aeadDigests(chacha: Chacha): Promise<string[]> {
  const key = await chacha.importKey(Uint8Array.from({ length: 32 }, (_, i) => 0x80 + i));
  const digests: string[] = [];
  for (const length of LENGTHS) {
    const nonce = Uint8Array.from({ length: 12 }, (_, i) => i + length);
    const plaintext = Uint8Array.from({ length }, (_, i) => i * 7);
    const ciphertext = await key.encrypt(nonce, plaintext);
    const back = await key.decrypt(nonce, ciphertext);
    if (back === undefined || Buffer.compare(back, plaintext) !== 0)
      throw new Error(`${length} bytes do not come back`);
    for (const at of [0, ciphertext.length - 1]) {
      const changed = Uint8Array.from(ciphertext, (byte, i) => (i === at ? byte ^ 1 : byte));
      if ((await key.decrypt(nonce, changed)) !== undefined) throw new Error('a changed ciphertext opens');
    }
    if ((await key.decrypt(nonce, ciphertext.subarray(0, 15))) !== undefined) throw new Error('a cut ciphertext opens');
    digests.push(createHash('sha256').update(ciphertext).digest('hex'));
  }
  return digests;
}
