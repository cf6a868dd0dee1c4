import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Manifest } from '../../src/retention/manifest.ts';
import { readManifest } from '../../src/retention/read-manifest.ts';

const FIXTURES = join(import.meta.dirname, '../fixtures/retention');
export const BACKUPS = [
  ...['13-full', '14-full', '15-full', '16-full', '17-full', '17-incremental', '18-full', '18-incremental'],
] as const;

export function fixture(backup: string, file: string): Buffer {
  return readFileSync(join(FIXTURES, backup, file));
}

export interface FileToWrite {
  readonly path: string;
  readonly size: number;
  readonly content?: Uint8Array;
}

/** Writes a manifest as the server does (backup_manifest.c): version 2, with SHA256 where contents are given. */
export function writeManifest(
  files: readonly FileToWrite[],
  {
    head = '"System-Identifier": 7712419287301973546,\n',
    version = '2',
    ranges = '{ "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000120" }',
  } = {},
): Buffer {
  const lines = files.map(({ path, size, content }) => {
    const checksum =
      content &&
      `, "Checksum-Algorithm": "SHA256", "Checksum": "${createHash('sha256').update(content).digest('hex')}"`;
    const time = '"Last-Modified": "2026-11-26 10:05:48 GMT"';
    return `{ "Path": ${JSON.stringify(path)}, "Size": ${size}, ${time}${checksum ?? ''} }`;
  });
  const start = `{ "PostgreSQL-Backup-Manifest-Version": ${version},\n${head}"Files": [\n`;
  return withChecksum(`${start}${lines.join(',\n')}\n],\n"WAL-Ranges": [\n${ranges}\n],\n`);
}

/** Ends a manifest as it must end. */
export function withChecksum(text: string): Buffer {
  return Buffer.from(`${text}"Manifest-Checksum": "${createHash('sha256').update(text).digest('hex')}"}\n`);
}

export async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < bytes.length; start += size) {
    yield await Promise.resolve(bytes.subarray(start, start + size));
  }
}

export function parse(bytes: Uint8Array, pieceSize = 1000): Promise<Manifest> {
  return readManifest(inPieces(bytes, pieceSize));
}
