/** CRC-32C (RFC 3720, appendix B.4), eight bytes at a time: stores that speak of it are sent whole objects. */

const POLYNOMIAL = 0x82f63b78;
const LANES = 8;
/** Made when it is first needed: most processes never do. */
let made: Uint32Array | undefined;

/**
 * Updates a running CRC, which starts as 0. Written out, since it must be fast before it is compiled: a helper that
 * reads both kinds of array makes it six times slower.
 */
export function updateCrc32c(crc: number, bytes: Uint8Array): number {
  const table = (made ??= makeTable());
  let state = ~crc;
  let i = 0;
  for (; i + LANES <= bytes.length; i += LANES) {
    state ^= (bytes[i] ?? 0) | ((bytes[i + 1] ?? 0) << 8) | ((bytes[i + 2] ?? 0) << 16) | ((bytes[i + 3] ?? 0) << 24);
    state =
      (table[1792 + (state & 0xff)] ?? 0) ^
      (table[1536 + ((state >>> 8) & 0xff)] ?? 0) ^
      (table[1280 + ((state >>> 16) & 0xff)] ?? 0) ^
      (table[1024 + (state >>> 24)] ?? 0) ^
      (table[768 + (bytes[i + 4] ?? 0)] ?? 0) ^
      (table[512 + (bytes[i + 5] ?? 0)] ?? 0) ^
      (table[256 + (bytes[i + 6] ?? 0)] ?? 0) ^
      (table[bytes[i + 7] ?? 0] ?? 0);
  }
  for (; i < bytes.length; i += 1) state = (state >>> 8) ^ (table[(state ^ (bytes[i] ?? 0)) & 0xff] ?? 0);
  return ~state >>> 0;
}

/** Lane n holds what a byte does to the state when n further bytes follow it. */
function makeTable(): Uint32Array {
  const table = new Uint32Array(LANES * 256);
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    table[byte] = crc;
  }
  for (let i = 256; i < table.length; i += 1) {
    const crc = table[i - 256] ?? 0;
    table[i] = (crc >>> 8) ^ (table[crc & 0xff] ?? 0);
  }
  return table;
}
