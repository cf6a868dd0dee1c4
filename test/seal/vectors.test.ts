import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { withTable } from '../../scripts/seal-vectors/table.ts';
import { readVectorFile, readVectors, tryVector } from './vectors.ts';

const vectors = readVectors();

describe.each(vectors)('$file, $about', (vector) => {
  test(`${vector.outcome} (${vector.fact ?? 'whole'})`, async () => {
    const object = readVectorFile(vector.file);
    expect(createHash('sha256').update(object).digest('hex')).toBe(vector.sha256);

    const whole = await tryVector(vector, object);
    const pieceByPiece = await tryVector(vector, object, 7);

    for (const result of [whole, pieceByPiece]) {
      expect(result).toMatchObject({ outcome: vector.outcome, ...vector.content });
      if ('fact' in result) expect(result.fact).toContain(vector.fact);
      if ('written' in result) expect(result.written).toBeLessThanOrEqual(2 ** 18);
    }
  });
});

test('the format names every vector', () => {
  const document = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'FORMAT.md'), 'utf8');
  expect(withTable(document, vectors)).toBe(document);
});
