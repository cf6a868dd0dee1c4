/** Text for people: aligned columns, without colours, so that it reads the same in a pipe. */

export interface Column {
  readonly title: string;
  /** Default: left. */
  readonly align?: 'left' | 'right';
  /** The widest that it gets, in characters; what is longer is cut in its middle, where names differ least. */
  readonly most?: number;
}

const GAP = '  ';
const CUT = '...';

/** The lines of a table, the titles first. A cell that is missing is empty. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const cells = rows.map((row) => columns.map(({ most = Infinity }, index) => fit(clean(row[index] ?? ''), most)));
  const all = [columns.map(({ title }) => title), ...cells];
  const widths = columns.map((_, index) => Math.max(...all.map((row) => row[index]?.length ?? 0)));
  return all.map((row) =>
    row
      .map((cell, index) => {
        const width = widths[index] ?? 0;
        return columns[index]?.align === 'right' ? cell.padStart(width) : cell.padEnd(width);
      })
      .join(GAP)
      .trimEnd(),
  );
}

/** Labels are a user's words: no control character of theirs reaches a terminal. */
export function clean(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?');
}

function fit(text: string, most: number): string {
  if (text.length <= most) return text;
  const kept = most - CUT.length;
  const head = Math.ceil(kept / 2);
  return `${text.slice(0, head)}${CUT}${text.slice(text.length - (kept - head))}`;
}
