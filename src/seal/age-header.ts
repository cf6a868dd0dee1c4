import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';

import { invalid } from './invalid.ts';

/** The header of an age v1 file: its text, and the MAC that binds it to the file key. C2SP age specification. */

const VERSION_LINE = 'age-encryption.org/v1\n';
const END_MARK = '\n---';
const COLUMNS = 64;
const MAC_BYTES = 32;

export interface Stanza {
  readonly type: string;
  readonly args: readonly string[];
  readonly body: Uint8Array;
}

export interface AgeHeader {
  readonly stanzas: readonly Stanza[];
  /** The bytes up to and including "---". */
  readonly macInput: Uint8Array;
  readonly mac: Uint8Array;
}

export function encodeAgeHeader(stanzas: readonly Stanza[], fileKey: Uint8Array): Buffer {
  const macInput = Buffer.from(`${VERSION_LINE}${stanzas.map(encodeStanza).join('')}---`, 'latin1');
  return Buffer.concat([macInput, Buffer.from(` ${toBase64(headerMac(macInput, fileKey))}\n`, 'latin1')]);
}

/** Whether an object that begins with these bytes is an age file. */
export function startsAgeHeader(bytes: Buffer): boolean {
  return bytes.subarray(0, VERSION_LINE.length).toString('latin1') === VERSION_LINE;
}

/** Bytes of the header that begins here; undefined while its end is not there. */
export function ageHeaderLength(bytes: Buffer): number | undefined {
  const mark = bytes.indexOf(END_MARK, 0, 'latin1');
  const end = mark < 0 ? -1 : bytes.indexOf('\n', mark + END_MARK.length, 'latin1');
  return end < 0 ? undefined : end + 1;
}

/** Parses a whole header, and takes nothing but the form that the specification allows. Errors: Failure `invalid`. */
export function parseAgeHeader(bytes: Buffer): AgeHeader {
  const lines = bytes.toString('latin1').slice(VERSION_LINE.length, -1).split('\n');
  const end = /^--- (.*)$/.exec(lines.pop() ?? '')?.[1];
  const mac = end === undefined ? undefined : fromBase64(end);
  if (mac?.length !== MAC_BYTES) throw malformed('its last line is not a MAC');
  const stanzas: Stanza[] = [];
  while (lines.length > 0) stanzas.push(parseStanza(lines));
  if (stanzas.length === 0) throw malformed('it has no stanza');
  const macInput = bytes.subarray(0, bytes.lastIndexOf(END_MARK, undefined, 'latin1') + END_MARK.length);
  return { stanzas, macInput: Uint8Array.from(macInput), mac };
}

/** Whether somebody who knew the file key wrote this header. */
export function isHeaderMac(header: AgeHeader, fileKey: Uint8Array): boolean {
  return timingSafeEqual(headerMac(header.macInput, fileKey), header.mac);
}

function headerMac(macInput: Uint8Array, fileKey: Uint8Array): Buffer {
  const key = new Uint8Array(hkdfSync('sha256', fileKey, new Uint8Array(0), 'header', 32));
  return createHmac('sha256', key).update(macInput).digest();
}

function encodeStanza({ type, args, body }: Stanza): string {
  const text = toBase64(body);
  const lines = [`-> ${[type, ...args].join(' ')}`];
  // The line that ends a body is shorter than the others, and empty where they come out even.
  for (let at = 0; at <= text.length; at += COLUMNS) lines.push(text.slice(at, at + COLUMNS));
  return `${lines.join('\n')}\n`;
}

/** Takes one stanza from the front of `lines`. */
function parseStanza(lines: string[]): Stanza {
  const first = lines.shift() ?? '';
  const words = /^-> ([!-~]+(?: [!-~]+)*)$/.exec(first)?.[1]?.split(' ') ?? [];
  const [type, ...args] = words;
  if (type === undefined) throw malformed('a stanza does not start with "->" and its type');
  let text = '';
  for (;;) {
    const line = lines.shift();
    if (line === undefined || line.length > COLUMNS) throw malformed('the body of a stanza has no end, or a long line');
    text += line;
    if (line.length < COLUMNS) break;
  }
  const body = fromBase64(text);
  if (body === undefined) throw malformed('the body of a stanza is not canonical base64');
  return { type, args, body };
}

/** Base64 (RFC 4648, section 4) without padding. */
export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '');
}

/** The bytes of canonical base64 without padding; undefined for anything else. */
export function fromBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64');
  return toBase64(bytes) === text ? bytes : undefined;
}

function malformed(what: string): Error {
  return invalid(`age header is malformed: ${what}`);
}
