/** Archives of very many objects in MinIO, all but the last two of which nobody needs. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { Host, makeSite } from '../harness/archiving.ts';
import { startRelay, type Relay } from '../harness/net/relay.ts';
import { makeScratch } from '../harness/scratch.ts';
import { serverUser, writeAsServer } from '../harness/server-user.ts';
import { makeCloudArchive } from '../harness/stores/archives.ts';
import { minio } from '../harness/stores/minio.ts';
import { fillBucket } from '../harness/stores/server.ts';
import { writeManifest } from '../retention/manifests.ts';

const SYSTEM = '7712419287301973546';
const SEGMENTS_PER_LOG = 256;

export interface Many {
  readonly host: Host;
  readonly relay: Relay;
  /** The names that are there, sorted. */
  names(): Promise<string[]>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** `count` segments that lie before the only backup, and the two behind its start. */
export async function makeMany(count: number): Promise<Many> {
  const relay = await startRelay({ target: (await minio()).endpoint });
  const { table, env, bucket, prefix, eye } = await makeCloudArchive('s3', relay.endpoint);
  const wal = `${prefix}${SYSTEM}/wal/`;
  const numbers = Array.from({ length: count + 2 }, (_, index) => index + 1);
  await fillBucket(
    eye,
    bucket,
    numbers.map(segmentName).map((name) => `${wal}${name.slice(0, 16)}/${name}`),
  );
  const backups = [{ url: `file://${makeBackup(count + 1)}` }];
  const top = { keep_backups: 1, keep_wal: '0s' };
  return {
    host: await Host.make(makeSite(), { archives: [table], env, top, backups }),
    relay,
    names: async () => (await eye.keys(bucket, wal)).map((key) => key.slice(-24)),
    [Symbol.asyncDispose]: () => relay.close(),
  };
}

/** How often the relay has seen that many objects are deleted at once. */
export function deletions({ relay }: Many): number {
  return relay.requests.filter(({ method, path }) => method === 'POST' && /[?&]delete\b/.test(path)).length;
}

export function segmentName(number: number): string {
  const parts = [1, Math.floor(number / SEGMENTS_PER_LOG), number % SEGMENTS_PER_LOG];
  return parts.map((part) => part.toString(16).toUpperCase().padStart(8, '0')).join('');
}

/** All that the catalogue reads of a backup which starts and ends in this segment of 16 MB. */
function makeBackup(number: number): string {
  const location = makeScratch('backups', serverUser());
  const log = Math.floor(number / SEGMENTS_PER_LOG).toString(16);
  const lsn = (offset: string): string => `${log}/${(number % SEGMENTS_PER_LOG).toString(16)}${offset}`.toUpperCase();
  const label = Buffer.from(
    [
      `START WAL LOCATION: ${lsn('000028')} (file ${segmentName(number)})`,
      `CHECKPOINT LOCATION: ${lsn('000080')}`,
      'BACKUP METHOD: streamed',
      'BACKUP FROM: primary',
      'START TIME: 2026-11-26 10:38:17 UTC',
      'LABEL: the only one',
      'START TIMELINE: 1',
      '',
    ].join('\n'),
  );
  const files = [{ path: 'backup_label', size: label.length, content: label }];
  const head = `"System-Identifier": ${SYSTEM},\n`;
  const ranges = `{ "Timeline": 1, "Start-LSN": "${lsn('000028')}", "End-LSN": "${lsn('000120')}" }`;
  const directory = join(location, 'only');
  mkdirSync(directory, { mode: 0o755 });
  writeAsServer(join(directory, 'backup_label'), label);
  writeAsServer(join(directory, 'backup_manifest'), writeManifest(files, { head, ranges }));
  return location;
}
