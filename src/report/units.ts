const UNITS = ['kB', 'MB', 'GB', 'TB', 'PB'];
const STEP = 1024;

/** A number of bytes as pg_size_pretty says it, with one digit behind the point at most: `1.5 MB`. */
export function formatBytes(bytes: number): string {
  if (bytes < STEP) return `${bytes} bytes`;
  let [value, unit] = [bytes / STEP, 0];
  // What rounds to 1024 of one unit is 1 of the next.
  for (; value >= STEP - 0.05 && unit < UNITS.length - 1; unit += 1) value /= STEP;
  return `${value.toFixed(1).replace('.0', '')} ${UNITS[unit] ?? ''}`;
}

/** A moment to the second: `2026-11-20T02:10:11Z`. */
export function formatTime(time: Date | number): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`;
}

/** `1 object`, `2 objects`. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
