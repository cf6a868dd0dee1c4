/**
 * Every key of the settings file: how it is written, what it may hold, and its default, stated here and nowhere else.
 * docs/settings.md says the same to people; a test compares the two.
 */
import * as v from 'valibot';

import { parseBytes, parseDuration } from './units.ts';
import { parseArchiveUrl, parseEndpoint, UrlProblem } from './url.ts';

/** The keys above the first table. */
export const TOP = v.object({
  keep_backups: v.optional(wholeNumber(1)),
  keep_days: v.optional(wholeNumber(1, 36_500)),
  keep_wal: v.optional(duration('0s', '36500d'), '7d'),
  stray_after: v.optional(duration('1h', '36500d'), '30d'),
  keep: v.optional(list('a list of label or path patterns'), []),
  deadline: v.optional(duration('100ms', '1d'), '60s'),
  verify: v.optional(oneOf(['checksum', 'readback']), 'checksum'),
});

const FETCH = v.object({
  deadline: v.optional(duration('100ms', '1d'), '5m'),
  standby_deadline: v.optional(duration('100ms', '1d'), '5s'),
  on_promote: v.optional(oneOf(['stop', 'promote']), 'stop'),
  on_gap: v.optional(oneOf(['stop', 'end']), 'stop'),
  allow_empty: v.optional(flag(), false),
});

/** How a store is reached: the same for what is pushed to it and what is looked for in it. */
const STORE = {
  mounted: v.optional(flag()),
  region: v.optional(text('a region of the store')),
  endpoint: v.optional(location('an http:// or https:// URL', parseEndpoint)),
  force_path_style: v.optional(flag()),
  ca_file: v.optional(path()),
};

const ARCHIVE = v.object({
  url: location('a URL: file:///directory, s3://bucket/prefix, gs://... or azure://...', parseArchiveUrl),
  required: v.optional(flag(), true),
  mode: v.optional(oneOf(['push', 'fetch']), 'push'),
  ...STORE,
  conditional_create: v.optional(oneOf(['proven', 'unproven'])),
  sse: v.optional(oneOf(['AES256', 'aws:kms', 'aws:kms:dsse'])),
  kms_key: v.optional(text('the name of a key')),
  storage_class: v.optional(text('a storage class of the store')),
});

const ENCRYPTION = v.object({
  recipients: v.optional(list('a list of public keys, "age1..."')),
  identity_file: v.optional(path()),
});

const SIGNING = v.object({
  key_file: v.optional(path()),
  trusted: v.optional(v.pipe(v.array(path(), expected('a list of paths')), v.metadata({ type: 'a list of paths' }))),
});

const COMPRESSION = v.object({ level: v.optional(wholeNumber(1, 19), 3) });

const BACKUPS = v.object({
  url: v.optional(location('a URL, as that of an archive', parseArchiveUrl)),
  ...STORE,
  history_files: v.optional(text('a label pattern')),
});

const AGENT = v.object({
  enabled: v.optional(flag(), true),
  socket: v.optional(path()),
  workers: v.optional(wholeNumber(1, 64)),
  memory: v.optional(bytes('64MB', '64GB'), '256MB'),
  bandwidth: v.optional(bytes('64kB', '64GB')),
  nice: v.optional(wholeNumber(0, 19), 5),
});

/** The tables, by their names in the file. Those of `LISTS` are written with two pairs of brackets. */
export const TABLES = {
  fetch: FETCH,
  archive: ARCHIVE,
  encryption: ENCRYPTION,
  signing: SIGNING,
  compression: COMPRESSION,
  backups: BACKUPS,
  agent: AGENT,
} as const;

export type TableName = keyof typeof TABLES;

/** The tables that may stand in a file more than once. */
export const LISTS: ReadonlySet<string> = new Set<TableName>(['archive', 'backups']);

/** Options that only some stores know: on others they would be silently without effect. */
export const ONLY_FOR = {
  mounted: ['file'],
  region: ['s3'],
  endpoint: ['s3', 'gs', 'azure'],
  force_path_style: ['s3'],
  ca_file: ['s3', 'gs', 'azure'],
  conditional_create: ['s3'],
  sse: ['s3'],
  kms_key: ['s3', 'gs'],
  storage_class: ['s3', 'gs', 'azure'],
} as const;

/** Storage classes of archive tiers: what lies there is read hours after it was asked for, and a recovery can't wait. */
export const OFFLINE_CLASSES: ReadonlySet<string> = new Set(['GLACIER', 'DEEP_ARCHIVE', 'Archive']);

function expected(type: string): string {
  return `${type} is expected`;
}

function text(type: string) {
  return v.pipe(v.string(expected(type)), v.nonEmpty(expected(type)), v.metadata({ type }));
}

function path() {
  return text('a path');
}

function list(type: string) {
  return v.pipe(v.array(v.string(expected(type)), expected(type)), v.metadata({ type }));
}

function flag() {
  return v.pipe(v.boolean(expected('true or false')), v.metadata({ type: 'true or false' }));
}

function oneOf<const Choices extends readonly string[]>(choices: Choices) {
  const type = choices.map((choice) => `"${choice}"`).join(' or ');
  return v.pipe(v.picklist(choices, expected(type)), v.metadata({ type }));
}

function wholeNumber(min: number, max = 1_000_000) {
  const type = `a whole number from ${String(min)} to ${String(max)}`;
  return v.pipe(
    v.number(expected(type)),
    v.integer(expected(type)),
    v.minValue(min, expected(type)),
    v.maxValue(max, expected(type)),
    v.metadata({ type }),
  );
}

/** Parses to milliseconds. */
function duration(min: string, max: string) {
  return quantity('a duration', 'ms, s, m, h or d', parseDuration, min, max);
}

/** Parses to bytes. */
function bytes(min: string, max: string) {
  return quantity('an amount', 'kB, MB or GB', parseBytes, min, max);
}

function quantity(what: string, units: string, parse: (text: string) => number | undefined, min: string, max: string) {
  const type = `${what} from "${min}" to "${max}"`;
  const least = parse(min) ?? Number.NaN;
  const most = parse(max) ?? Number.NaN;
  return v.pipe(
    v.string(`${expected(type)}: a whole number and its unit (${units}) in quotes`),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      const value = parse(dataset.value);
      if (value !== undefined && value >= least && value <= most) return value;
      addIssue({ message: `${expected(type)}: a whole number and its unit (${units})` });
      return NEVER;
    }),
    v.metadata({ type }),
  );
}

/** Parses a URL by `parse`, whose UrlProblem becomes what is said of the key. */
function location<Parsed>(type: string, parse: (text: string) => Parsed) {
  return v.pipe(
    v.string(expected(type)),
    v.rawTransform(({ dataset, addIssue, NEVER }) => {
      try {
        return parse(dataset.value);
      } catch (error) {
        if (!(error instanceof UrlProblem)) throw error;
        addIssue({ message: error.message });
        return NEVER;
      }
    }),
    v.metadata({ type }),
  );
}
