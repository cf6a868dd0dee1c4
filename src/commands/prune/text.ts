/** What people read: tables of the backups and of the WAL, and what becomes of each. */
import type { Applied } from '../../retention/apply.ts';
import type { AssessedBackup, Assessment } from '../../retention/assess.ts';
import { explain } from '../../retention/explain.ts';
import type { Decision, GivenUpBackup, Plan } from '../../retention/plan.ts';
import type { NamedKeys } from '../../retention/untouched.ts';
import { clean, table, type Column } from '../../report/table.ts';
import { counted, formatBytes, formatTime } from '../../report/units.ts';
import { formatLsn } from '../../wal/lsn.ts';
import type { Finding, Findings } from './findings.ts';
import type { Io } from '../io.ts';
import { allOthers } from './backups.ts';
import { explainBackups, MEANING } from './explained.ts';
import { placesOf } from './places.ts';

export function reportText(all: Findings, io: Io): void {
  const { options, findings, passedOver, catalogues } = all;
  for (const finding of findings) {
    for (const line of linesOf(finding, options)) io.out(line);
  }
  if (options.explain !== undefined || options.apply === true) return;
  for (const url of passedOver) io.out(`archive ${url}: mode = "fetch", so it is never written, and not pruned`);
  const others = allOthers(catalogues);
  if (others.length > 0) io.out('beside the base backups:');
  for (const { path, kind, reason } of others) io.out(`  ${clean(path)}: ${kind}: ${reason}`);
}

function linesOf(finding: Finding, { explain: name, apply }: Findings['options']): string[] {
  const { url } = finding.archive.storage;
  if (finding.is === 'failed') return [];
  if (name !== undefined) return finding.is === 'planned' ? explained(url, finding.plan, name) : [];
  if (finding.is === 'without-backup') return [...heading(url, finding.assessment), ...stockOf(finding.assessment)];
  if (apply === true) return finding.applied ? outcome(url, finding.plan, finding.applied) : [];
  return [...heading(url, finding.plan.assessment), ...planned(finding.plan)];
}

function explained(url: string, plan: Plan, name: string): string[] {
  const backups = explainBackups(plan, name);
  const told = backups.map(({ path, label, fate, reasons }) => ({
    what: `backup ${clean(path)} (${clean(label)})`,
    fate: fate === 'kept' ? 'is kept' : FATE[fate],
    reasons,
  }));
  const object = explain(plan, name);
  const all = told.length > 0 ? told : [{ what: clean(name), fate: OBJECT_FATE[object.fate], reasons: object.reasons }];
  return all.flatMap(({ what, fate, reasons }) => [
    `archive ${url}: ${what} ${fate}`,
    ...reasons.map((reason) => `  ${clean(reason)}`),
  ]);
}

const OBJECT_FATE = { stays: 'stays', goes: 'goes', untouched: 'is never touched', 'not-there': 'is not there' };
const FATE: Readonly<Record<GivenUpBackup['becomes'], string>> = {
  'as-before': 'given up, as before',
  shorter: 'given up, shorter',
  'already-short': 'given up, already short',
  lost: 'given up, lost',
  'not-restorable': 'not restorable',
};

function heading(url: string, { inventory: { systemId, segmentSize } }: Assessment): string[] {
  return [`archive ${url}: system ${systemId}, segments of ${formatBytes(segmentSize)}`, ''];
}

/** Where nothing is planned: what there is, all of which stays. */
function stockOf(assessment: Assessment): string[] {
  const rows = [...assessment.inventory.timelines].map(([id, { segments, beside }]) => [
    String(id),
    String(segments.count + beside.length),
    formatBytes(segments.bytesBetween(0, segments.count) + beside.reduce((sum, { bytes }) => sum + bytes, 0)),
  ]);
  return [
    ...section('base backups', backupLines(assessment, new Map())),
    ...section('all WAL stays', table([TIMELINE, OBJECTS, SIZE], rows)),
    ...section('never touched', untouchedLines(assessment)),
  ];
}

function planned(plan: Plan): string[] {
  const { assessment, deletes, keeps } = plan;
  const [count, bytes] = totalOf(deletes);
  const end =
    count === 0
      ? 'nothing goes'
      : `${counted(count, 'object')} of ${formatBytes(bytes)} would go; nothing was deleted: --apply does it`;
  return [
    ...section('base backups, the oldest first', backupLines(assessment, fatesOf(plan))),
    ...section('why', whyLines(plan)),
    ...section('WAL that goes, in this order', decisionLines(deletes)),
    ...section('WAL that stays', decisionLines(keeps)),
    ...section('never touched', untouchedLines(assessment)),
    end,
  ];
}

function section(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [`${title}:`, ...lines.map((line) => `  ${line}`), ''];
}

const TIMELINE: Column = { title: 'TIMELINE', align: 'right' };
const OBJECTS: Column = { title: 'OBJECTS', align: 'right' };
const SIZE: Column = { title: 'SIZE', align: 'right' };

const LABEL: Column = { title: 'LABEL', most: 32 };
const PLACE: Column = { title: 'PATH', most: 32 };
const BACKUP_COLUMNS: readonly Column[] = [
  { title: 'KIND' },
  TIMELINE,
  { title: 'START' },
  { title: 'STOP' },
  { title: 'RECOVERY UP TO' },
  { title: 'BECOMES' },
];

function backupLines({ backups }: Assessment, fates: ReadonlyMap<AssessedBackup, string>): string[] {
  const places = placesOf(backups.map(({ backup }) => backup));
  const hasPlaces = places.size > 0;
  const rows = backups.flatMap((assessed) => {
    const { backup, windows, problems } = assessed;
    const [first = '', ...others] = windows.map(windowText);
    const fate = fates.get(assessed) ?? (problems.length > 0 ? 'not restorable' : '');
    const { stoppedAt, label, kind, start, stop } = backup;
    const named = hasPlaces ? [label, places.get(backup) ?? ''] : [label];
    const what = [
      formatTime(stoppedAt),
      ...named,
      kind,
      String(start.timeline),
      formatLsn(start.lsn),
      formatLsn(stop.lsn),
    ];
    return [[...what, first, fate], ...others.map((other) => [...what.map(() => ''), other, ''])];
  });
  const columns = [{ title: 'ENDED' }, LABEL, ...(hasPlaces ? [PLACE] : []), ...BACKUP_COLUMNS];
  return rows.length === 0 ? [] : [...table(columns, rows), ...problemLines(backups)];
}

function problemLines(backups: readonly AssessedBackup[]): string[] {
  return backups
    .filter(({ problems }) => problems.length > 0)
    .map(({ backup, problems }) => `${clean(backup.path)}: ${clean(problems.join('; '))}`);
}

function windowText({ timeline, end, endMs, gap }: AssessedBackup['windows'][number]): string {
  const hole = gap === undefined ? '' : `, then ${gap.missing} is missing`;
  return `${formatLsn(end)} on ${timeline}, ${formatTime(endMs)}${hole}`;
}

function fatesOf({ kept, givenUp }: Plan): Map<AssessedBackup, string> {
  return new Map([
    ...kept.map(({ assessed }) => [assessed, assessed.problems.length > 0 ? 'kept, not restorable' : 'kept'] as const),
    ...givenUp.map(({ assessed, becomes }) => [assessed, FATE[becomes]] as const),
  ]);
}

function whyLines(plan: Plan): string[] {
  const kept = plan.kept.map(
    ({ assessed, reasons }) => `${clean(assessed.backup.path)}: kept: ${clean(reasons.join('; '))}`,
  );
  return [...kept, ...plan.givenUp.filter(({ becomes }) => becomes !== 'not-restorable').map(givenUpLine)];
}

function givenUpLine({ assessed, becomes, parentOf }: GivenUpBackup): string {
  const children = parentOf.map(({ path }) => path).join(', ');
  const needed = children === '' ? '' : `; keep its files, upon which ${children} builds`;
  return clean(`${assessed.backup.path}: ${MEANING[becomes]}${needed}`);
}

function decisionLines(decisions: readonly Decision[]): string[] {
  if (decisions.length === 0) return [];
  const columns = [TIMELINE, { title: 'FIRST' }, { title: 'LAST' }, OBJECTS, SIZE, { title: 'WHY' }];
  const rows = decisions.map(({ timeline, first, last, count, bytes, reason }) => [
    String(timeline),
    first,
    last,
    String(count),
    formatBytes(bytes),
    reason,
  ]);
  return table(columns, rows);
}

/** How many keys of a kind are named. */
const MOST_NAMED = 5;

function untouchedLines({ inventory: { histories, untouched } }: Assessment): string[] {
  const { unknown, aside, temporary, otherSystems } = untouched;
  return [
    ...(histories.length > 0
      ? [
          `${histories.length === 1 ? '1 history file' : `${histories.length} history files`}: without one, recovery takes the wrong branch`,
        ]
      : []),
    ...namedLine('set aside', aside),
    ...namedLine('unknown', unknown),
    ...namedLine('temporary', temporary),
    ...[...otherSystems].flatMap(([id, keys]) => namedLine(`of system ${id}`, keys)),
  ];
}

function namedLine(what: string, { count, bytes, first }: NamedKeys): string[] {
  if (count === 0) return [];
  const more = count > MOST_NAMED ? ', ...' : '';
  return [
    `${counted(count, 'object')} of ${formatBytes(bytes)} ${what}: ${clean(first.slice(0, MOST_NAMED).join(', '))}${more}`,
  ];
}

/** After `--apply`: short, as timers run it. */
function outcome(url: string, plan: Plan, { isVerified, deleted, left }: Applied): string[] {
  if (plan.deletes.length === 0) return [`archive ${url}: nothing to delete`];
  const unseen = isVerified ? '' : ', as the store says: it could not be listed again';
  const stay = isVerified ? 'left' : 'may be left';
  const rest = left.count === 0 ? '' : `; ${counted(left.count, 'object')} of ${formatBytes(left.bytes)} ${stay}`;
  const lines = [
    `archive ${url}: ${counted(deleted.count, 'object')} of ${formatBytes(deleted.bytes)} deleted${unseen}${rest}`,
  ];
  if (deleted.count === 0) return lines;
  const losing = plan.givenUp.filter(({ becomes }) => becomes === 'lost' || becomes === 'shorter');
  return [...lines, ...losing.map((one) => `  ${givenUpLine(one)}`)];
}

function totalOf(decisions: readonly Decision[]): [number, number] {
  return decisions.reduce<[number, number]>(([count, bytes], one) => [count + one.count, bytes + one.bytes], [0, 0]);
}
