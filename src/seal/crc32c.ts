/** CRC-32C (RFC 3720, appendix B.4), eight bytes at a time: stores that speak of it are sent whole objects. */

const POLYNOMIAL = 0x82f63b78;
const LANES = 8;
const TABLE = makeTable();

/** Updates a running CRC, which starts as 0. */
export function updateCrc32c(crc: number, bytes: Uint8Array): number {
  const at = (lane: number, index: number): number => TABLE[lane * 256 + (index & 0xff)] ?? 0;
  let state = ~crc;
  let i = 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (; i + LANES <= bytes.length; i += LANES) {
    const low = view.getUint32(i, true) ^ state;
    const high = view.getUint32(i + 4, true);
    state =
      at(7, low) ^
      at(6, low >>> 8) ^
      at(5, low >>> 16) ^
      at(4, low >>> 24) ^
      at(3, high) ^
      at(2, high >>> 8) ^
      at(1, high >>> 16) ^
      at(0, high >>> 24);
  }
  for (; i < bytes.length; i += 1) state = (state >>> 8) ^ at(0, state ^ view.getUint8(i));
  return ~state >>> 0;
}

/** Lane n holds what a byte does to the state when n further bytes follow it. */
function makeTable(): Uint32Array {
  const table = new Uint32Array(LANES * 256);
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    table[byte] = crc;
  }
  for (let i = 256; i < table.length; i += 1) {
    const crc = table[i - 256] ?? 0;
    table[i] = (crc >>> 8) ^ (table[crc & 0xff] ?? 0);
  }
  return table;
}
