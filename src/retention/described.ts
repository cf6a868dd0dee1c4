import { createHash } from 'node:crypto';

import { crc32c } from '../wal/crc32c.ts';
import type { ManifestFile } from './manifest.ts';

const SHA: Readonly<Record<string, string>> = {
  SHA224: 'sha224',
  SHA256: 'sha256',
  SHA384: 'sha384',
  SHA512: 'sha512',
};

/** Why a file's bytes are not those that the manifest describes; undefined where they are, as far as it tells. */
export function differenceFrom(described: ManifestFile | undefined, bytes: Uint8Array): string | undefined {
  if (described === undefined) return 'it is not in its manifest';
  if (bytes.length !== described.size) return `it has ${bytes.length} bytes, and its manifest says ${described.size}`;
  const { checksum } = described;
  const computed = checksum && checksumOf(checksum.algorithm, bytes);
  if (checksum === undefined || computed === undefined || computed === checksum.hex) return undefined;
  return `it has the ${checksum.algorithm} checksum ${computed}, and its manifest says ${checksum.hex}`;
}

/** As manifests write it; undefined for an algorithm that is not known. */
function checksumOf(algorithm: string, bytes: Uint8Array): string | undefined {
  if (algorithm === 'CRC32C') {
    // The bytes of the number as they lie in memory, on the hosts that we know.
    const crc = Buffer.alloc(4);
    crc.writeUInt32LE(crc32c(bytes));
    return crc.toString('hex');
  }
  const name = SHA[algorithm];
  return name === undefined ? undefined : createHash(name).update(bytes).digest('hex');
}
