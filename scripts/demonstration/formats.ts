import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { zstdDecompressSync } from 'node:zlib';

import { Decrypter } from 'age-encryption';

import { keyOf, type Place } from './place.ts';
import type { Stage } from './stage.ts';
import { chapter, check, say } from './tell.ts';
import type { Before } from './work.ts';

/** Skippable frames of zstd: sixteen magic numbers, a length of 4 bytes, and as many bytes to skip (RFC 8878, 3.1.2). */
const SKIPPABLE_MAGIC = 0x184d2a50;
const SKIPPABLE_HEADER_BYTES = 8;

/** Opens an object by its formats alone, and compares that with what wal-fetch brings. */
export async function openWithoutUs(before: Before, stage: Stage, place: Place): Promise<void> {
  chapter('The same segment without walseal: the formats are age and zstd');
  await openByFormats(stage, await place.fetchObject(stage, keyOf(before)), 'etc/identity.txt', 'aux/opened');
  await stage.must(`wal-fetch --pgdata data ${before.segment} aux/fetched`);
  await stage.must('ls -l aux/opened aux/fetched');
  const opened = readFileSync(stage.path('aux/opened'));
  const isSame = opened.equals(readFileSync(stage.path('aux/fetched')));
  check(isSame && opened.length > 0, `both are the same ${opened.length} bytes`);
}

/**
 * Nothing but what knows the age and zstd formats: the programs `age` and `zstd` where both are installed, else
 * the npm package age-encryption and Node's zstd. No code of ours takes part.
 */
async function openByFormats(stage: Stage, object: string, identity: string, into: string): Promise<void> {
  const isInstalled = (program: string): boolean =>
    spawnSync(program, ['--version'], { stdio: 'ignore', env: { PATH: stage.env['PATH'] } }).status === 0;
  if (isInstalled('age') && isInstalled('zstd')) {
    await stage.must(`age -d -i ${identity} ${object} | zstd -d > ${into}`);
    return;
  }
  say('age and zstd are not installed here; the npm package age-encryption and Node stand in for');
  say(`  age -d -i ${identity} ${object} | zstd -d > ${into}`);
  const decrypter = new Decrypter();
  decrypter.addIdentity(identityIn(readFileSync(stage.path(identity), 'utf8')));
  const plain = await decrypter.decrypt(readFileSync(stage.path(object)));
  writeFileSync(stage.path(into), zstdDecompressSync(skipFrames(Buffer.from(plain))));
  stage.own(stage.path(into));
}

function identityIn(text: string): string {
  return text.split('\n').find((line) => line.startsWith('AGE-SECRET-KEY-')) ?? '';
}

/** Node's decoder stops at a skippable frame, so they are skipped here. */
function skipFrames(bytes: Buffer): Buffer {
  if (bytes.length < SKIPPABLE_HEADER_BYTES) return bytes;
  const isSkippable = (bytes.readUInt32LE(0) & ~0xf) >>> 0 === SKIPPABLE_MAGIC;
  return isSkippable ? skipFrames(bytes.subarray(SKIPPABLE_HEADER_BYTES + bytes.readUInt32LE(4))) : bytes;
}
