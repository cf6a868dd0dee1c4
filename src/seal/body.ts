/** Bytes to be stored, readable as often as an attempt to store them needs. */
export interface SealedBody {
  /** Bytes. */
  readonly length: number;
  /** The digest of all bytes; computed at the first call, then remembered. CRC-32C as 4 bytes, big-endian. */
  digest(algorithm: DigestAlgorithm): Promise<Uint8Array>;
  /** All bytes, in pieces of any size. Throws before its last piece where the source no longer gives the same bytes. */
  open(): AsyncIterable<Uint8Array>;
}

export type DigestAlgorithm = 'sha256' | 'md5' | 'crc32c';
