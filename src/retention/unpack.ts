import { createGunzip, createZstdDecompress } from 'node:zlib';

import { through } from '../seal/through.ts';
import { WalFormatError } from '../wal/error.ts';
import { decompressLz4 } from './lz4-frame.ts';

/** How pg_basebackup names the tars of each way to compress them. */
export const PACKINGS = ['.tar', '.tar.gz', '.tar.zst', '.tar.lz4'] as const;
export type Packing = (typeof PACKINGS)[number];

/** A tar of pg_basebackup -Ft as it lies there. */
export interface ListedTar {
  /** Such as `base.tar.gz`. */
  readonly file: string;
  readonly packing: Packing;
  /** Bytes. */
  readonly size: number;
}

/**
 * The tar inside. That its stream ends proves nothing (a decoder may take a cut frame in silence): a tar says itself
 * where it ends. Errors: WalFormatError; those of `source` pass through.
 */
export function unpack(source: AsyncIterable<Uint8Array>, packing: Packing): AsyncIterable<Uint8Array> {
  switch (packing) {
    case '.tar':
      return source;
    case '.tar.gz':
      return through(source, createGunzip(), corrupt);
    case '.tar.zst':
      return through(source, createZstdDecompress(), corrupt);
    case '.tar.lz4':
      return decompressLz4(source);
  }
}

function corrupt(error: unknown): WalFormatError {
  const reason = error instanceof Error ? error.message : String(error);
  return new WalFormatError(`what is compressed here is corrupt: ${reason}`);
}
