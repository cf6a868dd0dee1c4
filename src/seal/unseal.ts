import type { SystemId } from '../wal/control.ts';
import type { WalName } from '../wal/name.ts';
import type { OpenKeys, TrustedKeys } from './keys.ts';
import type { Label } from './label.ts';

/** What an object must say of itself; what is absent is not compared. */
export interface Expectation {
  readonly name?: WalName;
  readonly systemId?: SystemId;
}

/** What can be said of an object without a private key. */
export interface Inspected {
  readonly label: Label;
  /** Whether the bytes after the header have the length and the digest that the label announces. */
  readonly payloadMatches: boolean;
  readonly trust: 'trusted' | 'untrusted' | 'not-demanded';
  /** Bytes of the whole object. */
  readonly size: number;
}

export async function inspect(
  _bytes: AsyncIterable<Uint8Array>,
  _expected: Expectation,
  _trusted: TrustedKeys | undefined,
): Promise<Inspected> {
  throw new Error('not written yet');
}

export async function unseal(
  _bytes: AsyncIterable<Uint8Array>,
  _expected: Expectation,
  _keys: OpenKeys,
  _write: (chunk: Uint8Array) => Promise<void> | void,
): Promise<{ label: Label; length: number }> {
  throw new Error('not written yet');
}
