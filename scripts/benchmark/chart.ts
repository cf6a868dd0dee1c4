/** A run as a picture: a bar for each contestant's median, with a line from the lower to the upper quartile. SVG, by hand. */
import { median, spread } from './statistics.ts';
import { groupsOf, type Run, type Series } from './run.ts';

const WIDTH = 860;
const LABELS = 150;
const FIGURES = 90;
const BARS = WIDTH - LABELS - FIGURES;
const ROW = 22;
const TITLE = 34;
const MARGIN = 16;

const OURS = '#1f6feb';
const THEIRS = '#9aa4af';
const INK = '#24292f';

/** The parts that are shown: those that take seconds. Each with a scale of its own. */
export function chart(run: Run): string {
  const groups = groupsOf(run.series.filter(({ unit }) => unit === 's'));
  const parts: string[] = [];
  let top = MARGIN;
  for (const { title, series } of groups) {
    parts.push(text(MARGIN, top + 20, title, 'font-weight="bold"'));
    const longest = Math.max(...series.map(({ values }) => spread(values)[1]));
    for (const [index, one] of series.entries()) parts.push(row(one, top + TITLE + index * ROW, longest));
    top += TITLE + series.length * ROW + MARGIN;
  }
  const caption = `run ${run.id}, ${run.at.slice(0, 10)}: ${run.cores} cores; seconds, shorter is better`;
  parts.push(text(MARGIN, top + 4, caption, 'fill-opacity="0.7"'));
  const height = top + 2 * MARGIN;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}"`,
    ` font-family="sans-serif" font-size="13">`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

function row({ contestant, values, unit }: Series, y: number, longest: number): string {
  const at = (value: number): number => LABELS + (value / longest) * BARS;
  const [low, high] = spread(values);
  const middle = y + ROW / 2;
  const colour = contestant.startsWith('walseal') ? OURS : THEIRS;
  return [
    text(LABELS - 8, middle + 4, contestant, 'text-anchor="end"'),
    `<rect x="${LABELS}" y="${number(y + 3)}" width="${number(at(median(values)) - LABELS)}" height="${ROW - 6}" fill="${colour}"/>`,
    `<path d="M${number(at(low))} ${middle}H${number(at(high))}" stroke="${INK}" stroke-width="2"/>`,
    text(Math.max(at(median(values)), at(high)) + 8, middle + 4, `${median(values).toFixed(1)} ${unit}`, ''),
  ].join('\n');
}

function text(x: number, y: number, words: string, how: string): string {
  return `<text x="${number(x)}" y="${number(y)}" fill="${INK}" ${how}>${escape(words)}</text>`;
}

function number(value: number): string {
  return value.toFixed(1).replace(/\.0$/, '');
}

function escape(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
