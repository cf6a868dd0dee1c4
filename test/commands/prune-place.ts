/** What a life of a cluster leaves, as files: an archive, a location with base backups, and settings for a prune. */
import { cpSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import type { BaseBackup } from '../../src/retention/base-backup.ts';
import { formatLsn } from '../../src/wal/lsn.ts';
import { requireName, type SettingsParts, type TestCluster } from '../harness/cluster.ts';
import { keyOf, Life, MEGABYTES_16, nameAt, SYSTEM, type Remains } from '../retention/life.ts';
import { withChecksum } from '../retention/manifests.ts';
import { call, makeCluster, push, type Said } from './in-process.ts';

/** Nothing is young, so that each test says what it is about. */
export const TOP = 'keep_backups = 1\nkeep_wal = "0s"\nstray_after = "1h"';

export class PrunePlace {
  readonly cluster: TestCluster;
  /** The location of base backups. */
  readonly backups: string;
  /** Added to the times of a life, so that it ended a minute ago. */
  readonly #shiftMs: number;

  private constructor(nowMs: number) {
    this.cluster = makeCluster({ systemId: SYSTEM });
    this.backups = this.cluster.makeArchive('backups');
    this.#shiftMs = Date.now() - 60_000 - nowMs;
    this.settings();
  }

  /** Puts what is left of a life into the archive. Segments have a size and a time, and nothing in them. */
  static async make(remains: Remains): Promise<PrunePlace> {
    const place = new PrunePlace(remains.nowMs);
    for (const [timeline, text] of remains.histories) {
      await place.#push(`${timeline.toString(16).toUpperCase().padStart(8, '0')}.history`, text);
    }
    for (const [name, text] of remains.texts) await place.#push(name, text);
    for (const { name, modifiedMs } of remains.objects.values()) {
      if (!/\.(?:history|backup)$/.test(name)) place.put(keyOf(name), 1000);
      place.#age(place.cluster.objectPath(name), modifiedMs);
    }
    for (const backup of remains.backups) place.putBackup(backup);
    return place;
  }

  /** Writes the settings anew: `top` above, and the `[[backups]]` tables, each as its lines. */
  settings({
    top = TOP,
    backups = [`url = "file://${this.backups}"`],
    ...parts
  }: SettingsParts & { backups?: readonly string[] } = {}): void {
    const own = `url = "file://${this.cluster.archive}"`;
    const archives = (parts.archives ?? ['']).map((lines) => (lines === '' ? own : lines));
    const tables = backups.map((lines) => `\n[[backups]]\n${lines}`).join('');
    const last = archives.at(-1) ?? '';
    this.cluster.settings({ ...parts, top, archives: [...archives.slice(0, -1), `${last}${tables}`] });
  }

  put(key: string, bytes: number): void {
    const path = join(this.cluster.archive, key);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, Buffer.alloc(bytes));
  }

  /** Puts a backup, as pg_basebackup -Fp leaves it, into a directory that is named as the end of its path is. */
  putBackup(backup: BaseBackup): string {
    const directory = join(this.backups, backup.path.split('/').at(-1) ?? '');
    mkdirSync(directory, { recursive: true });
    const label = labelOf(backup);
    writeFileSync(join(directory, 'backup_label'), label);
    writeFileSync(join(directory, 'PG_VERSION'), '18\n');
    const manifest = join(directory, 'backup_manifest');
    writeFileSync(manifest, manifestOf(backup, label));
    this.#age(manifest, backup.stoppedAt.getTime());
    return directory;
  }

  prune(...options: string[]): Promise<Said> {
    return call(['wal-prune', '--config', this.cluster.config, ...options]);
  }

  /** Copies the archive, with the times of its objects. */
  copyArchive(to: string): void {
    cpSync(this.cluster.archive, to, { recursive: true, preserveTimestamps: true });
  }

  /** What is in the archive, by the names of the files. */
  names(archive = this.cluster.archive): string[] {
    return this.cluster.objects(archive).map((key) => key.slice(key.lastIndexOf('/') + 1));
  }

  async #push(name: string, text: string): Promise<void> {
    requireName(name);
    this.cluster.walFile(name, text);
    const said = await push(this.cluster, name);
    if (said.status !== 0) throw new Error(`${name} was not pushed: ${said.failure}`);
  }

  #age(path: string, modifiedMs: number): void {
    const time = new Date(modifiedMs + this.#shiftMs);
    utimesSync(path, time, time);
  }
}

/** As the server writes it (build_backup_content in xlogbackup.c). */
function labelOf({ label, start, incrementalFrom: from }: BaseBackup): string {
  const lines = [
    `START WAL LOCATION: ${formatLsn(start.lsn)} (file ${nameAt(start.timeline, start.lsn / BigInt(MEGABYTES_16))})`,
    `CHECKPOINT LOCATION: ${formatLsn(start.lsn)}`,
    'BACKUP METHOD: streamed',
    'BACKUP FROM: primary',
    'START TIME: 2026-01-01 00:00:00 UTC',
    `LABEL: ${label}`,
    `START TIMELINE: ${start.timeline}`,
    ...(from ? [`INCREMENTAL FROM LSN: ${formatLsn(from.lsn)}`, `INCREMENTAL FROM TLI: ${from.timeline}`] : []),
  ];
  return `${lines.join('\n')}\n`;
}

function manifestOf({ ranges, systemId = SYSTEM }: BaseBackup, label: string): Buffer {
  const time = '"Last-Modified": "2026-01-01 00:00:00 GMT"';
  const file = (path: string, size: number): string => `{ "Path": "${path}", "Size": ${size}, ${time} }`;
  const wal = ranges.map(
    ({ timeline, start, end }) =>
      `{ "Timeline": ${timeline}, "Start-LSN": "${formatLsn(start)}", "End-LSN": "${formatLsn(end)}" }`,
  );
  return withChecksum(
    [
      '{ "PostgreSQL-Backup-Manifest-Version": 2,',
      `"System-Identifier": ${systemId},`,
      '"Files": [',
      [file('backup_label', label.length), file('PG_VERSION', 3)].join(',\n'),
      '],',
      '"WAL-Ranges": [',
      wal.join(',\n'),
      '],\n',
    ].join('\n'),
  );
}

export const SEGMENT = 2n ** 24n;
const PRIMARY = { bytes: SEGMENT, from: 'primary', brings: false } as const;

/** Three full backups, ten days apart, with WAL between them; then a standby is promoted. */
export function threeBackups(): Life {
  const life = new Life(1);
  for (let turn = 0; turn < 3; turn += 1) {
    life.backup(0, PRIMARY);
    life.write(0, 3n * SEGMENT);
    life.wait(240);
  }
  life.promote(0);
  life.write(1, 2n * SEGMENT);
  return life;
}

/** What a prune of `threeBackups` leaves where one backup is kept. */
export const LEFT = [
  '000000010000000100000004',
  '000000010000000100000004.0000008C.backup',
  '000000010000000100000005',
  '000000010000000100000006',
  '000000010000000100000007',
  '000000010000000100000008',
  '000000010000000100000009.partial',
  '00000002.history',
  '000000020000000100000009',
  '00000002000000010000000A',
];
/** How many objects go. */
export const GOING = 12;
