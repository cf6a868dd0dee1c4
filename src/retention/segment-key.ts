/**
 * Keys of segments, read without making a single object: of a million keys nearly all are such, and `parseKey` takes
 * most of the time of a plan. It knows less than `parseKey`, and nothing else: a test compares the two.
 */

/** What the key of a segment says; overwritten by the next one. */
export interface SegmentKey {
  timeline: number;
  log: number;
  seg: number;
}

const DIRECTORY_CHARS = 16;
const NAME_CHARS = 24;
const SLASH = 0x2f;
const ZERO = 0x30;
const NINE = 0x39;
const A = 0x41;
const F = 0x46;

/**
 * Reads the key of a full segment below `prefix` (`<system id>/wal/`) into `into`; false where it is any other key.
 */
export function readSegmentKey(key: string, prefix: string, into: SegmentKey): boolean {
  const directory = prefix.length;
  const name = directory + DIRECTORY_CHARS + 1;
  if (key.length !== name + NAME_CHARS || key.charCodeAt(name - 1) !== SLASH || !key.startsWith(prefix)) return false;
  for (let index = 0; index < DIRECTORY_CHARS; index += 1) {
    if (key.charCodeAt(directory + index) !== key.charCodeAt(name + index)) return false;
  }
  into.timeline = hexAt(key, name);
  into.log = hexAt(key, name + 8);
  into.seg = hexAt(key, name + 16);
  return into.timeline > 0 && into.log >= 0 && into.seg >= 0;
}

/** Eight upper-case digits; NaN where there is anything else. */
function hexAt(text: string, from: number): number {
  let value = 0;
  for (let index = from; index < from + 8; index += 1) {
    const code = text.charCodeAt(index);
    if (code >= ZERO && code <= NINE) value = value * 16 + code - ZERO;
    else if (code >= A && code <= F) value = value * 16 + code - A + 10;
    else return Number.NaN;
  }
  return value;
}
