import { NAME, SYSTEM } from './build.ts';
import type { Vector } from './vector.ts';

const OUTCOMES = { opens: 'opens', invalid: 'invalid', 'no-key': 'no key' } as const;

/** The rows of the table in docs/FORMAT.md, one for each vector. */
function vectorRows(vectors: readonly Vector[]): string[] {
  return vectors.map(({ file, about, identity, trusted, expected, outcome }) => {
    const name = expected.name === NAME ? '' : `; asks for \`${expected.name}\``;
    const cluster = expected.systemId === SYSTEM ? '' : `; asks for cluster ${expected.systemId}`;
    const reader = `${identity}; ${trusted === undefined ? 'any' : trusted.join(' + ')}${name}${cluster}`;
    return `| \`${file.replace(/\.sealed$/, '')}\` | ${about} | ${reader} | ${OUTCOMES[outcome]} |`;
  });
}

/** The document with the table for these vectors at its end, whatever was there. */
export function withTable(document: string, vectors: readonly Vector[]): string {
  const mark = '<!-- vectors -->\n';
  const end = document.indexOf(mark);
  if (end < 0) throw new Error('the document has no place for the table');
  const lines = ['| object | what it is | reader | outcome |', '| --- | --- | --- | --- |', ...vectorRows(vectors)];
  return `${document.slice(0, end)}${mark}\n${lines.join('\n')}\n`;
}
