import fc from 'fast-check';
import { expect, test } from 'vitest';

import { readLabel, startTimeOf } from '../../src/retention/label.ts';
import { parseBackupLabel } from '../../src/wal/backup.ts';
import { formatLsn } from '../../src/wal/lsn.ts';
import { segmentNameAt } from '../../src/wal/name.ts';
import { anyLsn, anySize, anyTimeline } from '../wal/arbitraries.ts';

function labelText(start: string, file: string, timeline: number, time = '2026-11-26 10:05:48 UTC'): string {
  return (
    `START WAL LOCATION: ${start} (file ${file})\nCHECKPOINT LOCATION: ${start}\nBACKUP METHOD: streamed\n` +
    `BACKUP FROM: primary\nSTART TIME: ${time}\nLABEL: l\nSTART TIMELINE: ${timeline}\n`
  );
}

function facts(text: string) {
  const bytes = Buffer.from(text);
  return readLabel(bytes, { size: bytes.length, modified: new Date(0), checksum: undefined });
}

test('position and file name tell the segment size, but for the first segment of 4 GiB', () => {
  fc.assert(
    fc.property(anyLsn, anyTimeline, anySize, (lsn, timeline, size) => {
      const { name, seg } = segmentNameAt(timeline, lsn, size);
      const { segmentSize } = facts(labelText(formatLsn(lsn), name, timeline));
      // Only the largest size may be told there: half of it would be another segment.
      if (seg === 0) expect([undefined, size]).toContain(segmentSize);
      else expect(segmentSize).toBe(size);
    }),
  );
});

test.each([
  ['2026-11-26 10:05:48 UTC', '2026-11-26T10:05:48.000Z'],
  ['2026-11-26 10:05:48 GMT', '2026-11-26T10:05:48.000Z'],
  ['2026-11-26 10:05:48 +03', '2026-11-26T07:05:48.000Z'],
  ['2026-11-26 10:05:48 -0330', '2026-11-26T13:35:48.000Z'],
  ['2026-11-26 10:05:48 CET', undefined],
  ['2026-11-26 10:05:48 IST', undefined],
  ['2026-13-26 10:05:48 UTC', undefined],
])('the start time %s is %s', (time, expected) => {
  const label = parseBackupLabel(labelText('0/2000028', '000000010000000000000002', 1, time));
  expect(startTimeOf(label)?.toISOString()).toBe(expected);
});
