/** What this project holds itself to: ratios of medians within one run. */
import { EMPTY } from './start.ts';
import { ratio, type Run, type Series } from './run.ts';

/** Segments in a drain or a recovery, for a bound to count. */
export const FULL = 200;

interface Side {
  readonly part: string;
  /** One of these settings; where there is none: in each setting. */
  readonly setting?: string;
  readonly contestant: string;
}

interface Bound {
  readonly name: string;
  readonly ours: Side;
  readonly theirs: Side;
  readonly atMost: number;
}

const AGENT = 'walseal-agent';

const ALONE = 'walseal';

const BOUNDS: readonly Bound[] = [
  against('push', ALONE, 'zstd', 1.5),
  against('fetch', ALONE, 'zstd', 2.5),
  against('push', ALONE, 'pgbackrest', 1),
  against('start', ALONE, EMPTY, 3),
  against('start', 'client of S3', EMPTY, 5),
  against('start', 'client of Azure', EMPTY, 6),
  against('start', 'client of GCS', EMPTY, 6),
  against('drain', AGENT, 'pgbackrest-async', 0.8),
  against('drain', AGENT, 'zstd', 1.15),
];

function against(part: string, ours: string, theirs: string, atMost: number): Bound {
  return {
    name: `${part}: ${ours} against ${theirs}`,
    ours: { part, contestant: ours },
    theirs: { part, contestant: theirs },
    atMost,
  };
}

/** A bound in one setting of one run. */
export interface Judged {
  readonly name: string;
  readonly setting: string;
  readonly ratio: number;
  readonly atMost: number;
  /** Undefined: too few segments for the bound to count. */
  readonly holds: boolean | undefined;
}

/** All bounds for which the run has both sides. */
export function judge(run: Run): Judged[] {
  return BOUNDS.flatMap((bound) =>
    run.series
      .filter((series) => matches(series, bound.ours))
      .flatMap((ours) => {
        const theirs = run.series.find(
          (series) =>
            matches(series, bound.theirs) && (bound.theirs.setting !== undefined || series.setting === ours.setting),
        );
        return theirs === undefined ? [] : [judgeOne(bound, ours, theirs)];
      }),
  );
}

function judgeOne({ name, atMost }: Bound, ours: Series, theirs: Series): Judged {
  const value = ratio(ours, theirs);
  const counts = ours.segments === undefined || ours.segments >= FULL;
  return { name, setting: ours.setting, ratio: value, atMost, holds: counts ? value <= atMost : undefined };
}

function matches(series: Series, { part, setting, contestant }: Side): boolean {
  return series.part === part && series.contestant === contestant && (setting ?? series.setting) === series.setting;
}
