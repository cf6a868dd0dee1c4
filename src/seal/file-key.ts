import { hkdfSync } from 'node:crypto';

import { chacha } from '#chacha';

import { Failure } from '../exit.ts';
import { fromBase64, isHeaderMac, toBase64, type AgeHeader, type Stanza } from './age-header.ts';
import { invalid } from './invalid.ts';
import { newIdentity, type X25519Identity, type X25519Recipient } from './x25519.ts';

/** The file key, wrapped for each recipient in a stanza of its own. C2SP age specification, "X25519". */

const TYPE = 'X25519';
const KEY_BYTES = 32;
const WRAPPED_BYTES = 32;
const ZERO_NONCE = new Uint8Array(12);

export const FILE_KEY_BYTES = 16;

/** The stanza from which the recipient gets the file key. `ephemeral` is new for each stanza but in test vectors. */
export async function wrapFileKey(
  fileKey: Uint8Array,
  recipient: X25519Recipient,
  ephemeral: X25519Identity = newIdentity(),
): Promise<Stanza> {
  const shared = ephemeral.agree(recipient.publicKey);
  if (shared === undefined) {
    throw new Failure('usage', `nothing can be sealed for the recipient ${recipient.text}: its point is of low order`);
  }
  const share = ephemeral.recipient.publicKey;
  const key = await wrappingKey(shared, share, recipient.publicKey);
  return { type: TYPE, args: [toBase64(share)], body: await key.encrypt(ZERO_NONCE, fileKey) };
}

/**
 * The file key of an object. Errors: Failure `no-key` where no identity opens it, `invalid` where the header is
 * not the one that was written.
 */
export async function openFileKey(header: AgeHeader, identities: readonly X25519Identity[]): Promise<Uint8Array> {
  const wraps = header.stanzas.filter((stanza) => stanza.type === TYPE).map(parseWrap);
  if (header.stanzas.some((stanza) => stanza.type === 'scrypt'))
    throw invalid('age header has a passphrase among its recipients');
  for (const identity of identities) {
    for (const wrap of wraps) {
      const fileKey = await unwrap(wrap, identity);
      if (fileKey === undefined) continue;
      if (!isHeaderMac(header, fileKey))
        throw invalid('age header is not the one that was sealed: its MAC does not match');
      return fileKey;
    }
  }
  throw noKey(wraps.length, identities);
}

interface Wrap {
  readonly share: Uint8Array;
  readonly body: Uint8Array;
}

function parseWrap({ args, body }: Stanza): Wrap {
  const share = args.length === 1 ? fromBase64(args[0] ?? '') : undefined;
  if (share?.length !== KEY_BYTES || body.length !== WRAPPED_BYTES)
    throw invalid('age header has a malformed X25519 stanza');
  return { share, body };
}

async function unwrap({ share, body }: Wrap, identity: X25519Identity): Promise<Uint8Array | undefined> {
  const shared = identity.agree(share);
  if (shared === undefined) throw invalid('age header has an X25519 share of low order');
  const key = await wrappingKey(shared, share, identity.recipient.publicKey);
  return key.decrypt(ZERO_NONCE, body);
}

function wrappingKey(shared: Uint8Array, share: Uint8Array, publicKey: Uint8Array) {
  const salt = Buffer.concat([share, publicKey]);
  return chacha.importKey(new Uint8Array(hkdfSync('sha256', shared, salt, 'age-encryption.org/v1/X25519', KEY_BYTES)));
}

function noKey(wraps: number, identities: readonly X25519Identity[]): Failure {
  const ours = identities.map((identity) => identity.recipient.text).join(', ');
  const fact =
    identities.length === 0
      ? `object is encrypted for ${wraps} recipient(s), and there is no identity to open it with`
      : `no identity opens the object: it is encrypted for ${wraps} recipient(s), none of them ${ours}`;
  return new Failure('no-key', fact, {
    hint: '[encryption] identity_file must hold the private half of a recipient that the pushing host had when it wrote this object. The object does not tell which recipients these were.',
  });
}
