import { readFileSync } from 'node:fs';
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';

import { LISTS, TABLES, TOP } from '../../src/settings/keys.ts';

const DOCS = readFileSync(new URL('../../docs/settings.md', import.meta.url), 'utf8');

/** The rows of a section as [key, type, default]. */
function rows(section: string): string[][] {
  const [, body = ''] = DOCS.split(`\n## ${section}\n`);
  const [table = ''] = body.split('\n## ');
  return [...table.matchAll(/^\| `(\w+)` \|([^|]*)\|([^|]*)\|[^|]+\|$/gm)].map(([, ...cells]) =>
    cells.map((cell) => cell.trim()),
  );
}

/** Keys whose absence means the same as this value, though the program tells the two apart. */
const MEANS: Readonly<Record<string, string>> = { mounted: '`false`', force_path_style: '`false`' };

/** What the library's schemas look like from inside, as far as is needed here. */
const Optional = v.object({ wrapped: v.unknown(), default: v.optional(v.unknown()) });
const Piped = v.object({ pipe: v.array(v.unknown()) });
const Metadata = v.object({ metadata: v.object({ type: v.string() }) });

function asRows(table: { entries: Readonly<Record<string, unknown>> }): string[][] {
  return Object.entries(table.entries).map(([key, schema]) => {
    const optional = v.is(Optional, schema) ? schema : { wrapped: schema };
    const type = v.parse(Piped, optional.wrapped).pipe.find((step) => v.is(Metadata, step));
    const fallback = optional.default === undefined ? MEANS[key] : `\`${JSON.stringify(optional.default)}\``;
    return [key, v.parse(Metadata, type).metadata.type, fallback ?? ''];
  });
}

describe('docs/settings.md has every key with its type and default, and no other', () => {
  test('above the first table', () => {
    expect(rows('Above the first table').sort()).toEqual([...asRows(TOP), ['encryption', '"none"', '']].sort());
  });

  test.each(Object.entries(TABLES))('%s', (name, table) => {
    expect(rows(LISTS.has(name) ? `\`[[${name}]]\`` : `\`[${name}]\``)).toEqual(asRows(table));
  });
});
