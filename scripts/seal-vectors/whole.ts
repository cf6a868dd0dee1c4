import { encodeLabel } from '../../src/seal/label.ts';
import { NAME, OTHER_SYSTEM, signer, SYSTEM } from './build.ts';
import { random } from './random.ts';
import { fails, opens, some, type Made } from './vector.ts';

/** Objects that are what they say. */
export function right(): Promise<Made>[] {
  const history = Buffer.from('1\t0/5000098\tno recovery target specified\n', 'latin1');
  const asHistory = { name: '00000002.history', systemId: SYSTEM };
  return [
    opens('encrypted', 'for alice and bob, opened by alice', {}),
    opens('encrypted', 'the same object, opened by bob', {}, { identity: 'bob' }),
    opens('signed', 'encrypted, and signed by the host', { signedBy: 'host' }, { trusted: ['host'] }),
    opens('plain', 'not encrypted', { encrypted: false }),
    opens(
      'plain-signed',
      'not encrypted, signed by a listed old host',
      { encrypted: false, signedBy: 'old-host' },
      { trusted: ['host', 'old-host'] },
    ),
    opens('history', 'a history file', { name: '00000002.history', content: history }, { expected: asHistory }),
    opens('empty', 'a file of no bytes', { content: Buffer.alloc(0) }),
    opens('two-chunks', 'a payload of two chunks', { content: random('two chunks', 65_536) }),
    opens('unknown-stanza', 'a stanza of an unknown type after the label is passed over', {
      stanzas: ([label, ...others]) => [
        ...some(label),
        { type: 'later', args: ['x'], body: random('later', 48) },
        ...others,
      ],
    }),
  ];
}

/** Whole objects, and a reader who must not take them. */
export function keysAndTrust(): Promise<Made>[] {
  const demanded = { trusted: ['host'] };
  return [
    fails('encrypted', 'opened by a stranger', {}, 'no-key', 'no identity opens the object', { identity: 'stranger' }),
    fails('encrypted', 'no identity at all', {}, 'no-key', 'there is no identity', { identity: 'nobody' }),
    fails('encrypted', 'unsigned where a signature is demanded', {}, 'invalid', 'it is not signed', demanded),
    fails(
      'plain',
      'plain and unsigned where a signature is demanded',
      { encrypted: false },
      'invalid',
      'it is not signed',
      demanded,
    ),
    fails(
      'signed-by-stranger',
      'signed by a host that is not trusted',
      { signedBy: 'other-host' },
      'invalid',
      'which is not trusted',
      demanded,
    ),
    fails(
      'signature-wrong',
      'a wrong signature, though none is demanded',
      {
        signedBy: 'host',
        label: (label) => ({ ...label, systemId: OTHER_SYSTEM }),
      },
      'invalid',
      'is wrong',
      { expected: { name: NAME, systemId: OTHER_SYSTEM } },
    ),
    fails(
      'signature-elsewhere',
      'a signature over the lines without their context',
      {
        label: (label) => ({
          ...label,
          signature: { publicKey: signer('host').publicKey, value: signer('host').sign(encodeLabel(label)) },
        }),
      },
      'invalid',
      'is wrong',
    ),
    fails(
      'signed',
      'a true object under the name of another',
      { signedBy: 'host' },
      'invalid',
      'expected was 000000010000000000000002',
      {
        expected: { name: '000000010000000000000002', systemId: SYSTEM },
      },
    ),
    fails(
      'signed',
      'a true object of another cluster',
      { signedBy: 'host' },
      'invalid',
      'expected was 7390099999999999999',
      {
        expected: { name: NAME, systemId: OTHER_SYSTEM },
      },
    ),
  ];
}
