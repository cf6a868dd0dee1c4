import { createCipheriv, pbkdf2Sync, randomBytes } from 'node:crypto';

/** PBKDF2 and AES-256-GCM: one of the three pairs that MinIO's administration opens, and the one that Node has. */
const SUITE = 2;
const ROUNDS = 8_192;
const TAG_BYTES = 16;
const NONCE_BYTES = 8;
const CHUNK_BYTES = 16 * 1024;
/** What the associated data of a stream's last chunk begins with. */
const LAST = 0x80;

/**
 * Seals a secret as MinIO's administration wants it: salt, suite, nonce, and one chunk of a sio stream, which counts
 * its chunks in the nonce, with the authenticated nothing of chunk 0 as associated data.
 */
export function sealForMinio(secretKey: string, bytes: Buffer): Buffer {
  if (bytes.length > CHUNK_BYTES) throw new Error('a secret that does not fit into one chunk');
  const salt = randomBytes(32);
  const nonce = randomBytes(NONCE_BYTES);
  const key = pbkdf2Sync(secretKey, salt, ROUNDS, 32, 'sha256');
  const start = encrypt(key, nonce, 0, Buffer.alloc(0), Buffer.alloc(0));
  const chunk = encrypt(key, nonce, 1, bytes, Buffer.concat([Buffer.of(LAST), start]));
  return Buffer.concat([salt, Buffer.of(SUITE), nonce, chunk]);
}

function encrypt(key: Buffer, nonce: Buffer, index: number, bytes: Buffer, associated: Buffer): Buffer {
  const counter = Buffer.alloc(4);
  counter.writeUInt32LE(index);
  const cipher = createCipheriv('aes-256-gcm', key, Buffer.concat([nonce, counter]), { authTagLength: TAG_BYTES });
  cipher.setAAD(associated);
  return Buffer.concat([cipher.update(bytes), cipher.final(), cipher.getAuthTag()]);
}
