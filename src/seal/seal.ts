import type { SystemId } from '../wal/control.ts';
import type { WalName } from '../wal/name.ts';
import type { SealedBody } from './body.ts';
import type { SealKeys } from './keys.ts';
import type { Label } from './label.ts';

/** A WAL file that is to be sealed. */
export interface SealInput {
  readonly name: WalName;
  readonly systemId: SystemId;
  /** The cluster's `mock_authentication_nonce`, 32 bytes. */
  readonly nonce: Uint8Array;
  readonly path: string;
  /** Bytes; the file must have exactly these. */
  readonly length: number;
  /** zstd's compression level. */
  readonly level: number;
}

/** A sealed file, ready to be stored as often as needed. */
export interface Sealed {
  readonly label: Label;
  /** 64 lower-case hex digits, the label's. */
  readonly fingerprint: string;
  readonly body: SealedBody;
  readonly fileSha256: Uint8Array;
  /**
   * Proves that bytes read back from a store are exactly what was sealed, and open with the file key that is still
   * in memory. Errors: Failure `damaged`; those of `bytes` pass through.
   */
  verifyCopy(bytes: AsyncIterable<Uint8Array>): Promise<void>;
}

/** Seals a file. */
export async function seal(_input: SealInput, _keys: SealKeys): Promise<Sealed> {
  throw new Error('not written yet');
}
