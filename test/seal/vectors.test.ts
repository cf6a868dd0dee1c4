import { createHash } from 'node:crypto';

import { describe, expect, test } from 'vitest';

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
