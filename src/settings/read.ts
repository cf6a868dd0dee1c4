import * as v from 'valibot';

import { TABLES, TOP, type TableName } from './keys.ts';
import type { Place, Problems } from './problems.ts';

/** A parsed table of the file, its values not yet looked at. */
export type RawTable = Readonly<Record<string, unknown>>;
export type Table<Name extends TableName> = v.InferOutput<(typeof TABLES)[Name]>;
export type Top = v.InferOutput<typeof TOP>;

/** Reads the keys above the first table. Undefined, with the reasons added to `problems`, where a value is wrong. */
export function readTop(raw: RawTable, problems: Problems): Top | undefined {
  refuseUnknown({}, raw, [...Object.keys(TOP.entries), ...Object.keys(TABLES)], problems);
  return read(TOP, {}, raw, problems);
}

/** Reads a table; one that is not in the file has its defaults. Undefined as with `readTop`. */
export function readTable<Name extends TableName>(
  table: Name,
  raw: unknown,
  problems: Problems,
  number?: number,
): Table<Name> | undefined {
  const place = number === undefined ? { table } : { table, number };
  if (isTable(raw)) refuseUnknown(place, raw, Object.keys(TABLES[table].entries), problems);
  return read<Table<Name>>(TABLES[table], place, raw === undefined ? {} : raw, problems);
}

/** Reads each table of a list; undefined stands for one that is wrong. */
export function readList<Name extends TableName>(
  table: Name,
  raw: unknown,
  problems: Problems,
): (Table<Name> | undefined)[] {
  if (raw === undefined) return [];
  if (Array.isArray(raw)) return raw.map((each: unknown, index) => readTable(table, each, problems, index + 1));
  problems.add(`[[${table}]] is written with two pairs of brackets, as there may be several`);
  return [undefined];
}

export function isTable(raw: unknown): raw is RawTable {
  return typeof raw === 'object' && raw !== null && !Array.isArray(raw) && !(raw instanceof Date);
}

function read<Output>(schema: v.GenericSchema<unknown, Output>, place: Place, raw: unknown, problems: Problems) {
  const result = v.safeParse(schema, isTable(raw) ? raw : undefined);
  if (result.success) return result.output;
  if (!isTable(raw)) problems.addNoTable(place);
  else for (const issue of result.issues) problems.addIssue(place, issue);
  return undefined;
}

function refuseUnknown(place: Place, raw: RawTable, known: readonly string[], problems: Problems): void {
  for (const key of Object.keys(raw)) if (!known.includes(key)) problems.addUnknownKey(place, key);
}
