import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { parseBackupHistory, parseBackupLabel } from '../../src/wal/backup.ts';
import { WalFormatError } from '../../src/wal/error.ts';

const HEAD = 'START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n';
const STOP = 'STOP WAL LOCATION: 0/4000000 (file 000000010000000000000003)\n';
const BODY =
  'CHECKPOINT LOCATION: 0/2000060\nBACKUP METHOD: streamed\nBACKUP FROM: primary\nSTART TIME: 2026-11-21 06:03:39 UTC\n';
const LABEL = 'LABEL: nightly\nSTART TIMELINE: 1\n';
const STOPPED = 'STOP TIME: 2026-11-21 06:04:00 UTC\nSTOP TIMELINE: 1\n';
const INCREMENTAL = 'INCREMENTAL FROM LSN: 0/1000028\nINCREMENTAL FROM TLI: 1\n';
const HISTORY = HEAD + STOP + BODY + LABEL + STOPPED;

describe('a backup', () => {
  test('tells where it starts and where it stops', () => {
    expect(parseBackupHistory(HISTORY)).toMatchObject({
      start: 0x2000028n,
      startSegment: { name: '000000010000000000000002' },
      stop: 0x4000000n,
      checkpoint: 0x2000060n,
      method: 'streamed',
      from: 'primary',
      startTime: '2026-11-21 06:03:39 UTC',
      label: 'nightly',
      startTimeline: 1,
      stopTime: '2026-11-21 06:04:00 UTC',
      stopTimeline: 1,
    });
    expect(parseBackupHistory(HISTORY)).not.toHaveProperty('incrementalFrom');
  });

  test('tells what it is an increment of', () => {
    const expected = { incrementalFrom: { lsn: 0x1000028n, timeline: 1 } };
    expect(parseBackupLabel(HEAD + BODY + LABEL + INCREMENTAL)).toMatchObject(expected);
    expect(parseBackupHistory(HISTORY + INCREMENTAL)).toMatchObject(expected);
  });

  test('was taken from a primary, which the server 13 calls master, or from a standby', () => {
    const from = (word: string): string => parseBackupLabel((HEAD + BODY + LABEL).replace('primary', word)).from;
    expect(['primary', 'master', 'standby'].map(from)).toEqual(['primary', 'primary', 'standby']);
  });

  test('has any label, even one that looks like the file itself', () => {
    const line = fc.constantFrom(
      '',
      'nightly',
      'LABEL: x',
      'START TIMELINE: 7',
      ...(HISTORY + INCREMENTAL).split('\n'),
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(line, fc.string()), { maxLength: 6 }), (lines) => {
        const label = lines.join('\n');
        const text = (part: string): string => part.replace('nightly', () => label);
        expect(parseBackupHistory(text(HISTORY))).toMatchObject({ label, stop: 0x4000000n });
        expect(parseBackupLabel(text(HEAD + BODY + LABEL))).toMatchObject({ label, start: 0x2000028n });
      }),
    );
  });

  test('that was cut off anywhere, or is of the other kind, is refused', () => {
    for (let length = 0; length < HISTORY.length; length += 1) {
      expect(() => parseBackupHistory(HISTORY.slice(0, length))).toThrow(WalFormatError);
    }
    expect(() => parseBackupLabel(HISTORY)).toThrow(WalFormatError);
    expect(() => parseBackupHistory(HEAD + BODY + LABEL)).toThrow(WalFormatError);
  });

  test.each([
    ['a start on another timeline', HISTORY.replace('START TIMELINE: 1', 'START TIMELINE: 2')],
    ['timeline 0', HISTORY.replace('STOP TIMELINE: 1', 'STOP TIMELINE: 0')],
    ['an LSN that is none', HISTORY.replace('0/2000028', '0/200002800')],
    ['an origin that no server writes', HISTORY.replace('primary', 'elsewhere')],
    ['half of where it comes from', `${HISTORY}INCREMENTAL FROM LSN: 0/1000028\n`],
    ['something behind its end', `${HISTORY}more\n`],
  ])('with %s is refused', (_, text) => {
    expect(() => parseBackupHistory(text)).toThrow(WalFormatError);
  });
});
