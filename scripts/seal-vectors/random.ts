import { createHash } from 'node:crypto';

/** Bytes that look random and are always the same for the same purpose. */
export function random(purpose: string, length: number): Buffer {
  const blocks: Buffer[] = [];
  for (let i = 0; i * 32 < length; i += 1) {
    blocks.push(createHash('sha256').update(`walseal test vectors ${purpose} ${i}`).digest());
  }
  return Buffer.concat(blocks).subarray(0, length);
}
