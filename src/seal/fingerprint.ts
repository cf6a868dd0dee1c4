import { createHmac } from 'node:crypto';

/**
 * Tells 'same content?' to those who hold the cluster, and to nobody else: HMAC-SHA-256 of the file's SHA-256
 * (32 bytes) under the cluster's `mock_authentication_nonce` (32 bytes, the same in all its physical copies).
 * A bare digest would let any reader of an archive confirm what he guesses. 64 lower-case hex digits.
 */
export function fingerprint(fileSha256: Uint8Array, nonce: Uint8Array): string {
  if (fileSha256.length !== 32 || nonce.length !== 32) throw new Error('a digest and a nonce have 32 bytes each');
  return createHmac('sha256', nonce).update(fileSha256).digest('hex');
}
