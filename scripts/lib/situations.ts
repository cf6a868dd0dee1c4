import * as v from 'valibot';

/** The versions that have a column. */
const VERSIONS = [13, 14, 15, 16, 17, 18];

/** What test/harness/situations.ts notes of each test. */
const Situation = v.object({
  name: v.string(),
  version: v.number(),
  from: v.number(),
  to: v.number(),
  gates: v.boolean(),
});

/** What is read of the report that vitest's reporter "json" writes. */
const Report = v.object({
  testResults: v.array(
    v.object({
      assertionResults: v.array(
        v.object({
          ancestorTitles: v.array(v.string()),
          status: v.string(),
          meta: v.optional(v.object({ situation: v.optional(Situation) })),
        }),
      ),
    }),
  ),
});

/** The heading of those that stand alone in their file. */
const OTHERS = 'Others';

type Mark = 'passed' | 'passed, long' | 'failed' | 'not run' | 'not applicable';

/** One situation: where it stands, for which versions there is such a thing, and what was seen. */
interface Row {
  readonly heading: string;
  readonly name: string;
  readonly from: number;
  readonly to: number;
  readonly marks: Map<number, Mark>;
}

const SIGNS: Readonly<Record<Mark, string>> = {
  passed: 'yes',
  'passed, long': 'yes\\*',
  failed: '**no**',
  'not run': '?',
  'not applicable': '-',
};

const INTRODUCTION = `# Situations

What a server goes through in its life, and on which versions of PostgreSQL it was seen to go well: with real servers, through the
launchers and the executable. Each line is a test in [test/situations](../test/situations) or [test/agent](../test/agent), which tells how. Made by
\`scripts/situations\` from what \`scripts/test --long\` saw, or runs of parts of it on all versions; not written by hand.

| | |
| --- | --- |
| ${SIGNS.passed} | it passed; \`scripts/test\` sees it each time |
| ${SIGNS['passed, long']} | it passed; only \`scripts/test --long\` sees it, on this version |
| ${SIGNS.failed} | it failed |
| ${SIGNS['not run']} | it did not run: the machine lacked what it takes |
| ${SIGNS['not applicable']} | that version knows no such situation |
`;

/** docs/situations.md, from reports of vitest's; of what several tell, the last counts. Errors: ValiError where one is none. */
export function situationsPage(reports: readonly string[]): string {
  const rows = readRows(reports);
  const headings = [...new Set(rows.map(({ heading }) => heading))].toSorted();
  const sections = headings.map((heading) => section(heading, rows));
  return [INTRODUCTION, ...sections].join('\n');
}

function readRows(reports: readonly string[]): Row[] {
  const rows = new Map<string, Row>();
  const files = reports.flatMap((json) => v.parse(Report, JSON.parse(json)).testResults);
  const tests = files.flatMap((file) => file.assertionResults);
  for (const { ancestorTitles, status, meta } of tests) {
    if (meta?.situation === undefined) continue;
    const { name, version, from, to, gates } = meta.situation;
    const heading = ancestorTitles.at(-1) ?? OTHERS;
    const key = `${heading}\n${name}`;
    const row = rows.get(key) ?? { heading, name, from, to, marks: new Map<number, Mark>() };
    const mark = markOf(status, gates);
    // A run of other tests says nothing of this one.
    if (mark !== 'not run' || !row.marks.has(version)) row.marks.set(version, mark);
    rows.set(key, row);
  }
  return [...rows.values()];
}

function markOf(status: string, gates: boolean): Mark {
  if (status === 'passed') return gates ? 'passed' : 'passed, long';
  return status === 'failed' ? 'failed' : 'not run';
}

function section(heading: string, rows: readonly Row[]): string {
  const lines = rows
    .filter((row) => row.heading === heading)
    .map((row) => line([row.name.replaceAll('|', '\\|'), ...VERSIONS.map((version) => SIGNS[seen(row, version)])]));
  const head = [line(['', ...VERSIONS.map(String)]), line(['', ...VERSIONS].map(() => '---'))];
  return `## ${heading}\n\n${[...head, ...lines].join('\n')}\n`;
}

function seen({ from, to, marks }: Row, version: number): Mark {
  if (version < from || version > to) return 'not applicable';
  return marks.get(version) ?? 'not run';
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`.replace('|  |', '| |');
}
