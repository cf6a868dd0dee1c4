import { Failure } from '../exit.ts';
import type { BackupHistory } from '../wal/backup.ts';
import { segmentNameAt, toSegmentSize, type SegmentSize } from '../wal/name.ts';
import type { BaseBackup } from './base-backup.ts';

/** Something that tells the segment size, or leaves several possible. */
export interface SizeEvidence {
  /** As messages show it, such as `pg_control` or the path of a backup. */
  readonly source: string;
  readonly fits: readonly SegmentSize[];
}

const SIZES: readonly SegmentSize[] = Array.from({ length: 11 }, (_, power) => toSegmentSize(2 ** (20 + power))).filter(
  (size) => size !== undefined,
);

/** What base backups tell of the segment size. */
export function evidenceOfBackups(backups: readonly BaseBackup[]): SizeEvidence[] {
  return backups.flatMap(({ path, segmentSize }) => (segmentSize ? [{ source: path, fits: [segmentSize] }] : []));
}

/** What a backup history file tells: only some sizes bring its first LSN into its first segment. */
export function evidenceOfHistory(source: string, history: BackupHistory): SizeEvidence {
  const fits = SIZES.filter(
    (size) => segmentNameAt(history.startTimeline, history.start, size).name === history.startSegment.name,
  );
  return { source, fits };
}

/**
 * The one segment size that all evidence allows. Errors: Failure `invalid` where evidence contradicts itself: the
 * archive then holds segments of two sizes, or a backup of another cluster; Failure `usage` where it is not enough.
 */
export function decideSegmentSize(evidence: readonly SizeEvidence[]): SegmentSize {
  let possible = SIZES;
  let source = 'PostgreSQL';
  for (const next of evidence) {
    const both = possible.filter((size) => next.fits.includes(size));
    if (both.length === 0) throw contradiction(source, possible, next);
    if (both.length < possible.length) ({ source } = next);
    possible = both;
  }
  const [size, ...others] = possible;
  if (size !== undefined && others.length === 0) return size;
  throw new Failure('usage', `nothing tells the segment size: it may be ${show(possible)}`, {
    hint: 'Name the data directory with --pgdata, or a base backup under [[backups]].',
  });
}

function contradiction(source: string, possible: readonly SegmentSize[], other: SizeEvidence): Failure {
  const theirs = other.fits.length === 0 ? 'none' : show(other.fits);
  return new Failure(
    'invalid',
    `two segment sizes: ${source} says ${show(possible)}, and ${other.source} says ${theirs}`,
    {
      hint:
        'Nothing is deleted: with two sizes in one archive (pg_resetwal --wal-segsize keeps the cluster and its names) a name does not tell what it holds. ' +
        'Give each size an archive of its own, or leave out the backup that is of another cluster.',
    },
  );
}

function show(sizes: readonly SegmentSize[]): string {
  return `${sizes.map((size) => String(size / 2 ** 20)).join(' or ')} MB`;
}
