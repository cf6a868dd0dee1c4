import { closest, distance } from 'fastest-levenshtein';
import type { BaseIssue } from 'valibot';

import { Failure } from '../exit.ts';
import { LISTS, TABLES, TOP, type TableName } from './keys.ts';
import { redactUrl } from './url.ts';

/** Where a key stands: above the first table, or in a table (the how-manieth, where there may be several). */
export interface Place {
  readonly table?: TableName;
  readonly number?: number;
}

/** Collects all that is wrong with a settings file, so that one attempt tells all of it. */
export class Problems {
  readonly #file: string;
  readonly #facts: string[] = [];
  readonly #hints = new Set<string>();

  constructor(file: string) {
    this.#file = file;
  }

  add(fact: string, hint?: string): void {
    this.#facts.push(fact);
    if (hint !== undefined) this.#hints.add(hint);
  }

  /** Says `message` of a key, with its value as far as that may be shown. */
  addValue(place: Place, key: string, value: unknown, message: string, hint?: string): void {
    this.add(`${key}${inTable(place)} is ${show(key, value)}: ${message}`, hint);
  }

  addIssue(place: Place, issue: BaseIssue<unknown>): void {
    const [first, ...rest] = issue.path ?? [];
    if (first === undefined) {
      this.addNoTable(place);
      return;
    }
    const key = String(first.key) + rest.map((item) => `[${String(item.key)}]`).join('');
    const value = (rest.at(-1) ?? first).value;
    if (value === undefined) {
      this.add(`${key} is missing${inTable(place)}`);
      return;
    }
    const plainNumber = typeof value === 'number' && issue.message.includes('a duration');
    this.addValue(place, key, value, issue.message, plainNumber ? `Write 60 seconds as "60s".` : undefined);
  }

  addNoTable(place: Place): void {
    this.add(`${tableName(place)} is expected to be a table`);
  }

  addUnknownKey(place: Place, key: string): void {
    const shown = looksSecret(key) || !/^[\w-]{1,40}$/.test(key) ? '(not shown)' : key;
    const hint = /secret|passw|token|access_key|account_key|credential/i.test(key)
      ? "Credentials have no place in this file: they come from the store's own default chain."
      : undefined;
    this.add(`unknown key ${shown}${inTable(place)}; ${nearest(place, key)}`, hint);
  }

  /** Errors: Failure `usage` with everything that was added; nothing where that is nothing. */
  throwIfAny(): void {
    const [only, ...more] = this.#facts;
    if (only === undefined) return;
    const fact =
      more.length === 0
        ? `${this.#file}: ${only}`
        : `${this.#file} has ${String(1 + more.length)} problems:\n${this.#facts.map((each) => `  ${each}`).join('\n')}`;
    throw new Failure('usage', fact, { hint: [...this.#hints].join(' ') });
  }
}

/** The name of a table as it is written in the file, with its number where there may be several. */
function tableName({ table, number }: Place): string {
  if (table === undefined) return 'the top of the file';
  return LISTS.has(table) ? `[[${table}]]${number === undefined ? '' : ` ${String(number)}`}` : `[${table}]`;
}

function inTable(place: Place): string {
  return place.table === undefined ? '' : ` in ${tableName(place)}`;
}

/** The known key that is meant most likely: in the same table if it is as near as one elsewhere. */
function nearest(place: Place, key: string): string {
  const here = closest(key, keysOf(place.table));
  const homes = [undefined, ...tableNames()].filter((table) => table !== place.table);
  const strays = homes.map((table) => ({ table, key: closest(key, keysOf(table)) }));
  const stray = strays.find((one) => distance(key, one.key) + 2 < distance(key, here));
  if (stray === undefined) return `the nearest known one is ${here}`;
  const home = stray.table === undefined ? 'above the first table' : `in ${tableName({ table: stray.table })}`;
  return `the nearest known one, ${stray.key}, stands ${home}`;
}

function keysOf(table: TableName | undefined): string[] {
  return table === undefined ? [...Object.keys(TOP.entries), ...tableNames()] : Object.keys(TABLES[table].entries);
}

function tableNames(): TableName[] {
  return ['fetch', 'archive', 'encryption', 'signing', 'compression', 'backups', 'agent'];
}

const MAX_SHOWN = 60;

function show(key: string, value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Date) return 'a date';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value !== 'string') return 'a table';
  if (looksSecret(value)) return '(not shown)';
  const text = key === 'url' || key === 'endpoint' ? redactUrl(value) : value;
  return JSON.stringify(text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}...` : text);
}

/** Whether a text may be a private key, pasted where the name of its file belongs. */
export function looksSecret(text: string): boolean {
  return /AGE-SECRET-KEY|AGE-PLUGIN|PRIVATE KEY|:\/\/[^/]*:[^/]*@/i.test(text);
}
