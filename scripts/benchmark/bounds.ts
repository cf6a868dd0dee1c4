/** What this project holds itself to: ratios of medians within one run. */
import { bucketAt, DIRECTORY, EMPTY, waiting } from './names.ts';
import { ratio, type Run, type Series } from './run.ts';

/** Segments in a drain or a recovery, for a bound to count. */
export const FULL = 200;

interface Side {
  readonly part: string;
  /** One of these settings; where there is none: in each setting. */
  readonly setting?: string;
  readonly contestant: string;
}

/** At most so many times the other side's median; or so many MB at the peak. */
type Bound =
  | { readonly kind: 'ratio'; readonly ours: Side; readonly theirs: Side; readonly atMost: number }
  | { readonly kind: 'memory'; readonly ours: Side; readonly of: 'peakMb' | 'apartPeakMb'; readonly atMost: number };

const ALONE = 'walseal';
const AGENT = 'walseal-agent';

const BOUNDS: readonly Bound[] = [
  against(EMPTY, 3, { part: 'start', contestant: ALONE }),
  against(EMPTY, 5, { part: 'start', contestant: 'client of S3' }),
  against(EMPTY, 6, { part: 'start', contestant: 'client of Azure' }),
  against(EMPTY, 6, { part: 'start', contestant: 'client of GCS' }),
  against('zstd', 1.5, { part: 'push', contestant: ALONE }),
  against('pgbackrest', 1, { part: 'push', contestant: ALONE }),
  against('zstd', 2.5, { part: 'fetch', contestant: ALONE }),
  against(EMPTY, 3, { part: 'hand-over', contestant: AGENT }),
  { kind: 'memory', ours: { part: 'hand-over', contestant: AGENT }, of: 'peakMb', atMost: 60 },
  against('pgbackrest-async', 0.8, { part: 'drain', contestant: AGENT }),
  against('zstd', 1.15, { part: 'drain', contestant: AGENT }),
  { kind: 'memory', ours: { part: 'drain', contestant: AGENT }, of: 'apartPeakMb', atMost: 350 },
  against('cp', 0.95, { part: 'recovery', setting: DIRECTORY, contestant: AGENT }),
  against('pgbackrest-async', 1.05, { part: 'recovery', setting: DIRECTORY, contestant: AGENT }),
  betweenSettings(1.15, { part: 'recovery', contestant: AGENT }, bucketAt(20), bucketAt(0)),
  betweenSettings(1.1, { part: 'backlog', contestant: ALONE }, waiting(2000), waiting(10)),
  betweenSettings(1.1, { part: 'backlog', contestant: AGENT }, waiting(2000), waiting(10)),
];

/** In each setting in which both were measured. */
function against(theirs: string, atMost: number, ours: Side): Bound {
  return { kind: 'ratio', ours, theirs: { ...ours, contestant: theirs }, atMost };
}

function betweenSettings(atMost: number, side: Side, ours: string, theirs: string): Bound {
  return { kind: 'ratio', ours: { ...side, setting: ours }, theirs: { ...side, setting: theirs }, atMost };
}

/** A bound in one setting of one run. */
export interface Judged {
  readonly name: string;
  readonly value: number;
  readonly atMost: number;
  readonly unit: 'times' | 'MB';
  /** Undefined: too few segments for the bound to count. */
  readonly holds: boolean | undefined;
}

/** All bounds for which the run has what it takes. */
export function judge(run: Run): Judged[] {
  return BOUNDS.flatMap((bound) =>
    run.series.filter((series) => matches(series, bound.ours)).flatMap((ours) => judgeOne(bound, ours, run.series)),
  );
}

function judgeOne(bound: Bound, ours: Series, all: readonly Series[]): Judged[] {
  const { atMost } = bound;
  const counts = ours.segments === undefined || ours.segments >= FULL;
  const judged = (name: string, value: number, unit: Judged['unit']): Judged[] => [
    { name: `${nameOf(ours)} ${name}`, value, atMost, unit, holds: counts ? value <= atMost : undefined },
  ];
  if (bound.kind === 'memory') {
    const value = ours.usage?.[bound.of];
    return value === undefined ? [] : judged('takes at its peak', value, 'MB');
  }
  const setting = bound.theirs.setting ?? ours.setting;
  const theirs = all.find((series) => matches(series, { ...bound.theirs, setting }));
  if (theirs === undefined) return [];
  const other = theirs.contestant === ours.contestant ? theirs.setting : theirs.contestant;
  return judged(`against ${other}`, ratio(ours, theirs), 'times');
}

function nameOf({ part, setting, contestant }: Series): string {
  return `${part}, ${setting}: ${contestant}`;
}

function matches(series: Series, { part, setting, contestant }: Side): boolean {
  return series.part === part && series.contestant === contestant && (setting ?? series.setting) === series.setting;
}
