import { createHash } from 'node:crypto';
import { TextDecoder } from 'node:util';

import { WalFormatError } from '../wal/error.ts';
import { walkManifest, type Manifest } from './manifest.ts';
import { Lexemes } from './manifest-tokens.ts';

/** Half a gigabyte tells of about three million files. */
const MAX_MANIFEST_BYTES = 512 * 1024 * 1024;
/** Bytes of the last line, which has nothing but the checksum. */
const LAST_LINE_MAX = 1024;
const LAST_LINE = /^"Manifest-Checksum": *"([0-9a-fA-F]{64})" *\} *\n$/;
const NEWLINE = 0x0a;

/**
 * Reads a manifest of the servers 13 to 18 (src/common/parse_manifest.c, backup-manifest.sgml) as it comes, keeping of
 * each file nothing but its path and size. It must be whole and have the checksum that it says it has.
 * Errors: WalFormatError; those of `bytes` pass through.
 */
export async function readManifest(bytes: AsyncIterable<Uint8Array>): Promise<Manifest> {
  const lexemes = new Lexemes();
  const walk = walkManifest(lexemes);
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const digest = new ManifestDigest();
  let size = 0;
  let step = walk.next();
  for await (const piece of bytes) {
    size += piece.length;
    if (size > MAX_MANIFEST_BYTES) throw new WalFormatError(`it has more than ${MAX_MANIFEST_BYTES} bytes`);
    digest.update(piece);
    lexemes.feed(decode(decoder, piece));
    if (step.done !== true) step = walk.next();
  }
  lexemes.feed(decode(decoder, undefined));
  lexemes.feed(undefined);
  if (step.done !== true) step = walk.next();
  if (step.done !== true) throw new WalFormatError('it is cut');
  digest.verify();
  return step.value;
}

function decode(decoder: TextDecoder, piece: Uint8Array | undefined): string {
  try {
    return piece === undefined ? decoder.decode() : decoder.decode(piece, { stream: true });
  } catch {
    throw new WalFormatError('it is not UTF-8');
  }
}

/** SHA-256 of all bytes before the last line, which says what it must be (verify_manifest_checksum in parse_manifest.c). */
class ManifestDigest {
  readonly #hash = createHash('sha256');
  /** What may be the last line. */
  #held: Buffer = Buffer.alloc(0);

  update(piece: Uint8Array): void {
    const bytes = this.#held.length === 0 ? Buffer.from(piece) : Buffer.concat([this.#held, piece]);
    const lastLine = bytes.lastIndexOf(NEWLINE, bytes.length - 2) + 1;
    // A line that is longer is not the one that we wait for.
    const from = Math.max(lastLine, bytes.length - LAST_LINE_MAX);
    this.#hash.update(bytes.subarray(0, from));
    this.#held = Buffer.from(bytes.subarray(from));
  }

  /** Errors: WalFormatError. */
  verify(): void {
    const [, said] = LAST_LINE.exec(this.#held.toString('latin1')) ?? [];
    if (said === undefined) throw new WalFormatError('its last line is not its checksum');
    const computed = this.#hash.digest('hex');
    if (said.toLowerCase() === computed) return;
    throw new WalFormatError(`its checksum is said to be ${said}, and its content gives ${computed}`);
  }
}
