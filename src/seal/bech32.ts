/**
 * Bech32 as age uses it (BIP 173 without its limit of 90 characters): five bits a character, led by a
 * human-readable part and '1', followed by a checksum of six characters.
 */

const ALPHABET = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];
const CHECKSUM_CHARACTERS = 6;

/** Encodes in the case of `prefix`, which is all lower or all upper. */
export function encodeBech32(prefix: string, data: Uint8Array): string {
  const upper = prefix === prefix.toUpperCase();
  const lowerPrefix = prefix.toLowerCase();
  const values = regroup(data, 8, 5, true) ?? [];
  const text = [...values, ...checksum(lowerPrefix, values)].map((value) => ALPHABET.charAt(value)).join('');
  return upper ? `${lowerPrefix}1${text}`.toUpperCase() : `${lowerPrefix}1${text}`;
}

/**
 * The bytes of a string that has exactly this prefix, in its case. A string instead says what is wrong, without
 * repeating the text, which may be a secret.
 */
export function decodeBech32(prefix: string, text: string): Uint8Array | string {
  if (text !== text.toLowerCase() && text !== text.toUpperCase()) return 'it mixes upper and lower case';
  if (!text.startsWith(`${prefix}1`)) return `it does not start with ${prefix}1`;
  const values: number[] = [];
  for (const character of text.slice(prefix.length + 1).toLowerCase()) {
    const value = ALPHABET.indexOf(character);
    if (value < 0) return `its character ${prefix.length + 2 + values.length} does not belong to bech32`;
    values.push(value);
  }
  const words = values.slice(0, -CHECKSUM_CHARACTERS);
  const sum = checksum(prefix.toLowerCase(), words);
  if (values.length < CHECKSUM_CHARACTERS || sum.some((value, i) => value !== values[words.length + i])) {
    return 'its checksum is wrong';
  }
  const bytes = regroup(words, 5, 8, false);
  return bytes === undefined ? 'its padding is wrong' : Uint8Array.from(bytes);
}

function checksum(prefix: string, values: readonly number[]): number[] {
  const codes = Array.from(prefix, (character) => character.charCodeAt(0));
  const expanded = [...codes.map((code) => code >> 5), 0, ...codes.map((code) => code & 31)];
  const rest = polymod([...expanded, ...values, 0, 0, 0, 0, 0, 0]) ^ 1;
  return [25, 20, 15, 10, 5, 0].map((shift) => (rest >>> shift) & 31);
}

function polymod(values: readonly number[]): number {
  let state = 1;
  for (const value of values) {
    const top = state >>> 25;
    state = ((state & 0x1ffffff) << 5) ^ value;
    GENERATOR.forEach((term, i) => {
      if (((top >>> i) & 1) === 1) state ^= term;
    });
  }
  return state >>> 0;
}

/** Groups of `from` bits as groups of `to` bits. Undefined where the bits left over are no zero padding. */
function regroup(values: Iterable<number>, from: number, to: number, pad: boolean): number[] | undefined {
  const groups: number[] = [];
  let pending = 0;
  let bits = 0;
  for (const value of values) {
    pending = (pending << from) | value;
    bits += from;
    while (bits >= to) {
      bits -= to;
      groups.push(pending >>> bits);
      pending &= (1 << bits) - 1;
    }
  }
  if (pad && bits > 0) groups.push(pending << (to - bits));
  if (!pad && (bits >= from || pending !== 0)) return undefined;
  return groups;
}
