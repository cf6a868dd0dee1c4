import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { parseBackupHistory, parseBackupLabel } from '../../src/wal/backup.ts';
import { parseControlFile, parseSystemId } from '../../src/wal/control.ts';
import { checkSegmentHeader, PAGE_MAGIC, readLongPageHeader } from '../../src/wal/header.ts';
import { parseHistory } from '../../src/wal/history.ts';
import { parseWalName, segmentStart, toSegmentSize } from '../../src/wal/name.ts';
import { known } from './arbitraries.ts';

interface Facts {
  version: number;
  systemId: string;
  segmentSize: number;
  label: string;
}

const ROOT = join(import.meta.dirname, '../fixtures/wal');
const CLUSTERS = readdirSync(ROOT, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);

test('there are files of every version', () => {
  const versions = CLUSTERS.map((cluster) => Number.parseInt(cluster, 10));
  expect([...new Set(versions)].sort()).toEqual([13, 14, 15, 16, 17, 18]);
});

describe.each(CLUSTERS)('what a real server %s writes', (cluster) => {
  const read = (name: string): Buffer => readFileSync(join(ROOT, cluster, name));
  const facts = JSON.parse(read('facts.json').toString()) as Facts;
  const system = known(parseSystemId(facts.systemId));
  const size = known(toSegmentSize(facts.segmentSize));
  const names = readdirSync(join(ROOT, cluster)).flatMap((name) => parseWalName(name) ?? []);
  const pages = names.filter((name) => name.kind === 'segment' || name.kind === 'partial');

  test('pg_control tells the cluster, and a promoted copy has the same nonce', () => {
    const control = parseControlFile(read('pg_control'));
    const copy = parseControlFile(read('pg_control.copy'));
    expect(control.systemId).toBe(system);
    expect(control).not.toHaveProperty('warning');
    expect(new Set(control.nonce).size).toBeGreaterThan(8);
    expect(copy).toEqual(control);
  });

  test('segments are what their names claim, at the start of a timeline too', () => {
    for (const name of pages) {
      const page = read(name.name);
      expect(checkSegmentHeader(name, size, page, system)).toEqual({ segmentSize: size });
      const header = known(readLongPageHeader(page));
      expect(PAGE_MAGIC.get(header.magic)).toBe(facts.version);
      expect(header.blockSize).toBe(8192);
    }
    const headers = pages.map((name) => ({ name, header: known(readLongPageHeader(read(name.name))) }));
    expect(headers.some(({ header }) => (header.info & 1) === 1 && header.remLen > 0)).toBe(true);
    expect(headers.some(({ name, header }) => header.timeline < name.timeline)).toBe(true);
    expect(pages.some((name) => name.kind === 'partial')).toBe(true);
  });

  test('no segment passes for another one, or for another cluster', () => {
    for (const name of pages) {
      const others = pages.filter((other) => other.log !== name.log || other.seg !== name.seg);
      for (const other of others) {
        expect(checkSegmentHeader(other, size, read(name.name), system).problem).toContain('page address');
      }
      const { problem } = checkSegmentHeader(name, size, read(name.name), known(parseSystemId('1')));
      expect(problem).toContain(`system identifier is ${system}`);
    }
  });

  test('histories tell where each timeline was left', () => {
    const history = (name: string): ReturnType<typeof parseHistory> => parseHistory(read(name).toString());
    const [first] = history('00000002.history');
    expect(first).toMatchObject({ timeline: 1, reason: 'at restore point "before the fork"' });
    expect(history('00000003.history')).toMatchObject([first, { timeline: 2, reason: 'no recovery target specified' }]);
    const fourth = history('00000004.history');
    expect(fourth).toMatchObject([first, { timeline: 2 }]);
    expect(fourth[1]?.reason).toMatch(/^before \d{4}-/);
  });

  test('backup files tell where a backup starts, as their names do, and where it stops', () => {
    const label = parseBackupLabel(read('backup_label').toString());
    expect(label).toMatchObject({ label: facts.label, startTimeline: 1, from: 'primary' });
    const backups = names.filter((name) => name.kind === 'backup');
    expect(backups).toHaveLength(2);
    for (const name of backups) {
      const backup = parseBackupHistory(read(name.name).toString());
      expect(backup.startSegment).toMatchObject({ timeline: name.timeline, log: name.log, seg: name.seg });
      expect(backup.start).toBe(known(segmentStart(name, size)) + BigInt(name.offset));
      expect(backup.stop).toBeGreaterThan(backup.start);
    }
    expect(parseBackupHistory(read(known(backups[0]).name).toString())).toMatchObject(label);
  });
});
