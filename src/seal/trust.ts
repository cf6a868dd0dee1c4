import type { SystemId } from '../wal/control.ts';
import type { WalName } from '../wal/name.ts';
import { invalid } from './invalid.ts';
import type { TrustedKeys } from './keys.ts';
import { isSignatureValid, type Label } from './label.ts';

/** What an object must say of itself; what is absent is not compared. */
export interface Expectation {
  readonly name?: WalName;
  readonly systemId?: SystemId;
}

/** `not-demanded`: nobody asked for a signature. */
export type Trust = 'trusted' | 'untrusted' | 'not-demanded';

/** Errors: Failure `invalid` where the label is of another file or another cluster. */
export function checkExpectation(label: Label, { name, systemId }: Expectation): void {
  if (name !== undefined && label.name !== name.name) {
    throw invalid(`label names ${label.name}, expected was ${name.name}`, {
      hint: 'Somebody moved or copied the object to another key.',
    });
  }
  if (systemId !== undefined && label.systemId !== systemId) {
    throw invalid(`label has the system identifier ${label.systemId}, expected was ${systemId}`, {
      hint: 'The object belongs to another cluster.',
    });
  }
}

/** Whose signature the label carries. Errors: Failure `invalid` for a wrong signature, demanded or not. */
export function judge(label: Label, trusted: TrustedKeys | undefined): Trust {
  const { signature } = label;
  if (signature !== undefined && !isSignatureValid(label, signature)) {
    throw invalid(`signature of ${label.name} by ${signature.publicKey} is wrong`);
  }
  if (trusted === undefined) return 'not-demanded';
  return signature !== undefined && trusted.has(signature.publicKey) ? 'trusted' : 'untrusted';
}

/** Errors: Failure `invalid` where a signature is demanded and no trusted key made one. */
export function demandTrust(label: Label, trusted: TrustedKeys | undefined): void {
  if (judge(label, trusted) !== 'untrusted') return;
  const { signature } = label;
  if (signature === undefined) {
    throw invalid(`no trusted key signed ${label.name}: it is not signed`, {
      hint: 'No key can be listed for it. If it is yours, from before signing was set up, it opens where trusted is left out of the settings.',
    });
  }
  throw invalid(`no trusted key signed ${label.name}: it is signed by ${signature.publicKey}, which is not trusted`, {
    hint: 'If the host that wrote it is yours, list its public key in [signing] trusted.',
  });
}
