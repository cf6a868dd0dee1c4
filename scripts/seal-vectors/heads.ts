import { fromBase64, toBase64, type Stanza } from '../../src/seal/age-header.ts';
import { NAME, SYSTEM } from './build.ts';
import { random } from './random.ts';
import { fails, some, type Made } from './vector.ts';

/** Labels that are not in their only form. */
export function labels(): Promise<Made>[] {
  const text = (file: string, about: string, labelText: (text: string) => string, fact = 'canonical'): Promise<Made> =>
    fails(file, about, { labelText }, 'invalid', fact);
  return [
    text('label-leading-zero', 'the length of the payload starts with 0', (label) =>
      label.replace('payload ', 'payload 0'),
    ),
    text(
      'label-upper-case',
      'a digest in upper-case digits',
      (label) => label.replace(/fingerprint .*/, (line) => `fingerprint ${line.slice(12).toUpperCase()}`),
      'not a walseal label',
    ),
    text('label-crlf', 'lines end with CR LF', (label) => label.replaceAll('\n', '\r\n'), 'not a walseal label'),
    text('label-no-newline', 'the last line has no LF', (label) => label.slice(0, -1), 'not a walseal label'),
    text('label-extra-line', 'a line too many', (label) => `${label}comment hello\n`, 'not a walseal label'),
    text(
      'label-order',
      'two lines in the wrong order',
      (label) => label.replace(/(name .*\n)(system .*\n)/, '$2$1'),
      'not a walseal label',
    ),
    text(
      'label-two-spaces',
      'two spaces between words',
      (label) => label.replace('name ', 'name  '),
      'not a walseal label',
    ),
    text(
      'label-bad-name',
      'the name of no WAL file',
      (label) => label.replace(NAME, '../../etc/passwd'),
      'not the name of a WAL file',
    ),
    text(
      'label-bad-system',
      'a system identifier beyond 64 bits',
      (label) => label.replace(SYSTEM, '99999999999999999999'),
      'system identifier',
    ),
    text(
      'label-huge-payload',
      'a length that no number can hold',
      (label) => label.replace(/payload \d+/, 'payload 18446744073709551616'),
      'announces a payload',
    ),
    fails(
      'plain-label-extra',
      'not encrypted, a line too many',
      { encrypted: false, labelText: (label) => `${label}comment hello\n` },
      'invalid',
      'not a walseal label',
    ),
    fails(
      'label-missing',
      'an age file without a label',
      { stanzas: ([, ...others]) => others },
      'invalid',
      'has no label',
    ),
    fails(
      'label-second',
      'the label is the second stanza',
      { stanzas: ([label, wrap, ...others]) => [...some(wrap), ...some(label), ...others] },
      'invalid',
      'not the first stanza',
    ),
    fails(
      'label-twice',
      'two labels',
      { stanzas: ([label, ...others]) => [...some(label), ...some(label), ...others] },
      'invalid',
      'not the only label',
    ),
    fails(
      'label-v2',
      'a label of an unknown version',
      { stanzas: ([label, ...others]) => [...some(label).map((stanza) => ({ ...stanza, args: ['v2'] })), ...others] },
      'invalid',
      'version "v2"',
    ),
  ];
}

/** Headers round a right label. */
export function heads(): Promise<Made>[] {
  const wrap = (change: (stanza: Stanza) => Stanza) => (stanzas: Stanza[]) =>
    stanzas.map((stanza) => (stanza.type === 'X25519' ? change(stanza) : stanza));
  const swapText = (from: RegExp, to: string) => (head: Buffer) =>
    Buffer.from(head.toString('latin1').replace(from, to), 'latin1');
  return [
    fails(
      'header-mac',
      'a header that was changed after its MAC',
      { head: swapText(/-> walseal-label v1\n/, '-> later\n\n-> walseal-label v1\n') },
      'invalid',
      'not the first stanza',
    ),
    fails(
      'header-mac-stanza',
      'a stanza that was added after the MAC',
      { head: swapText(/--- /, '-> later\n\n--- ') },
      'invalid',
      'MAC does not match',
    ),
    fails(
      'header-long',
      'a header of more than 64 KiB',
      { stanzas: (stanzas) => [...stanzas, { type: 'later', args: [], body: Buffer.alloc(48_000) }] },
      'invalid',
      'no whole header',
    ),
    fails(
      'header-base64',
      'base64 whose spare bits are not zero',
      { head: swapText(/[AQgw]\n--- /, 'B\n--- ') },
      'invalid',
      'canonical base64',
    ),
    fails(
      'header-padding',
      'base64 with padding',
      { head: swapText(/\n--- /, '=\n--- ') },
      'invalid',
      'canonical base64',
    ),
    fails(
      'header-version',
      'an age file of another version',
      { head: swapText(/v1\n/, 'v2\n') },
      'invalid',
      'neither an age file',
    ),
    fails(
      'header-scrypt',
      'a passphrase among the recipients',
      {
        stanzas: (stanzas) => [
          ...stanzas,
          { type: 'scrypt', args: [toBase64(random('salt', 16)), '18'], body: random('wrap', 32) },
        ],
      },
      'invalid',
      'passphrase',
    ),
    fails(
      'header-low-order',
      'a share of low order',
      { stanzas: wrap((stanza) => ({ ...stanza, args: [toBase64(Buffer.alloc(32))] })) },
      'invalid',
      'low order',
    ),
    fails(
      'header-short-share',
      'a share of 31 bytes',
      {
        stanzas: wrap((stanza) => ({
          ...stanza,
          args: [toBase64((fromBase64(stanza.args[0] ?? '') ?? Buffer.alloc(0)).subarray(1))],
        })),
      },
      'invalid',
      'malformed X25519',
    ),
    fails(
      'header-no-recipient',
      'a header that holds nothing but the label',
      { stanzas: (stanzas) => stanzas.slice(0, 1) },
      'no-key',
      'no identity opens the object',
    ),
    fails(
      'plain-frame',
      'not encrypted, led by a frame of another kind',
      { encrypted: false, head: (head) => Buffer.concat([Buffer.from([0x5e]), head.subarray(1)]) },
      'invalid',
      'neither an age file',
    ),
    fails(
      'plain-frame-long',
      'not encrypted, a label frame that announces more than 64 KiB',
      {
        encrypted: false,
        head: (head) => Buffer.concat([head.subarray(0, 4), Buffer.from([0, 0, 1, 0]), head.subarray(8)]),
      },
      'invalid',
      'no whole header',
    ),
  ];
}
