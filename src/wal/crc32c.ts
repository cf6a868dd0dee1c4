/** The Castagnoli polynomial, bits reversed. */
const POLYNOMIAL = 0x82f63b78;

/** Of four bits: a table of 256 would take longer to make than the few hundred bytes to check. */
const TABLE = Uint32Array.from({ length: 16 }, (_, nibble) => {
  let crc = nibble;
  for (let bit = 0; bit < 4; bit += 1) crc = (crc & 1) !== 0 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  return crc;
});

/** CRC-32C (RFC 3720, appendix B.4), as pg_crc32c.h computes it: the checksum of pg_control. */
export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    crc = (crc >>> 4) ^ (TABLE[crc & 0xf] ?? 0);
    crc = (crc >>> 4) ^ (TABLE[crc & 0xf] ?? 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
