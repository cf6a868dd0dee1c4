/** Milliseconds in each unit that a duration can be written in. */
const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/**
 * Milliseconds of a duration such as "500ms", "60s", "5m", "12h" or "7d": a whole number and its unit, nothing else.
 * Undefined where the text is none, or where it exceeds what a number counts exactly.
 */
export function parseDuration(text: string): number | undefined {
  const [, count, unit = ''] = /^(\d+)(ms|s|m|h|d)$/.exec(text) ?? [];
  const ms = Number(count) * (UNIT_MS[unit] ?? Number.NaN);
  return Number.isSafeInteger(ms) ? ms : undefined;
}

/** Bytes in each unit that an amount of memory can be written in: PostgreSQL's, powers of 1024. */
const UNIT_BYTES: Readonly<Record<string, number>> = { kB: 1024, MB: 1024 ** 2, GB: 1024 ** 3 };

/** Bytes of an amount such as "512kB", "256MB" or "1GB", as PostgreSQL writes them; undefined as with `parseDuration`. */
export function parseBytes(text: string): number | undefined {
  const [, count, unit = ''] = /^(\d+)(kB|MB|GB)$/.exec(text) ?? [];
  const bytes = Number(count) * (UNIT_BYTES[unit] ?? Number.NaN);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
