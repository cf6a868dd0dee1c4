import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import type { FailureKind } from '../../src/exit.ts';
import {
  isSameFile,
  parseAnswer,
  parseRequest,
  type Answer,
  type FileId,
  type Request,
} from '../../src/agent/message.ts';

const text = fc.string({ unit: 'grapheme' });
const fileId: fc.Arbitrary<FileId> = fc.record({ dev: text, ino: text, size: text, mtime: text, ctime: text });

const request: fc.Arbitrary<Request> = fc
  .record({
    program: fc.record({ version: text, file: text }),
    dataDirectory: fc.record({ dev: text, ino: text }),
    settings: fc.record({ path: text, text }),
    environment: fc.dictionary(text, text),
  })
  .chain((requester) =>
    fc.oneof(
      fc.record({ name: text, file: fileId }).map((push): Request => ({ ...requester, push })),
      fc.record({ name: text }).map((fetch): Request => ({ ...requester, fetch })),
    ),
  );

const answer: fc.Arbitrary<Answer> = fc.oneof(
  fc.record({ is: fc.constant('stored' as const), warnings: fc.array(text) }),
  fc.record({
    is: fc.constant('failed' as const),
    kind: fc.constantFrom<FailureKind[]>('different', 'unreachable', 'gap'),
    message: text,
    hint: text,
    onPromote: fc.constantFrom('stop' as const, 'promote' as const),
    warnings: fc.array(text),
  }),
  fc.record({ is: fc.constant('fetched' as const), temporary: text, file: fileId, warnings: fc.array(text) }),
  fc.record({ is: fc.constant('yours' as const), why: text }),
);

const onTheWay = (value: unknown): string => JSON.stringify(value);

test('what one side says is what the other one reads, on one line', () => {
  fc.assert(
    fc.property(request, (value) => {
      expect(onTheWay(value)).not.toContain('\n');
      expect(parseRequest(onTheWay(value))).toEqual(JSON.parse(onTheWay(value)));
    }),
  );
  fc.assert(
    fc.property(answer, (value) => {
      expect(onTheWay(value)).not.toContain('\n');
      expect(parseAnswer(onTheWay(value))).toEqual(value);
    }),
  );
});

test('an empty object is a sign of life, and no answer', () => {
  expect(parseAnswer('{}')).toBeUndefined();
});

describe('what is malformed', () => {
  test('is an error, whatever it is', () => {
    fc.assert(
      fc.property(fc.oneof(text, fc.json()), (line) => {
        fc.pre(line.trim() !== '{}');
        expect(() => parseAnswer(line)).toThrow(SyntaxError);
        expect(() => parseRequest(line)).toThrow(SyntaxError);
      }),
    );
  });

  test('is an error where one part of a request is missing, or of another kind', () => {
    fc.assert(
      fc.property(request, fc.nat(), fc.constantFrom(undefined, null, 1, true, [], {}), (value, which, instead) => {
        expect(() => parseRequest(damage(value, which, instead))).toThrow(SyntaxError);
      }),
    );
  });

  test('is an error where one part of an answer is missing, or of another kind', () => {
    fc.assert(
      fc.property(answer, fc.nat(), fc.constantFrom(undefined, null, 1, true, {}), (value, which, instead) => {
        expect(() => parseAnswer(damage(value, which, instead))).toThrow(SyntaxError);
      }),
    );
  });
});

/** Puts something else in the place of one text or list, which are what messages are made of. */
function damage(value: unknown, which: number, instead: unknown): string {
  const copy: unknown = JSON.parse(onTheWay(value));
  const places = leaves(copy);
  const place = places[which % places.length];
  if (place === undefined) throw new Error('a message without parts');
  place.holder[place.key] = instead;
  return onTheWay(copy);
}

interface Leaf {
  readonly holder: Record<string, unknown>;
  readonly key: string;
}

function leaves(value: unknown): Leaf[] {
  if (typeof value !== 'object' || value === null) return [];
  const holder = value as Record<string, unknown>;
  return Object.entries(holder).flatMap(([key, part]) => {
    // A variable may be left out: each is one of any number.
    if (key === 'environment' || (typeof part === 'object' && !Array.isArray(part)))
      return key === 'environment' ? [] : leaves(part);
    return [{ holder, key }];
  });
}

test('a file is another one as soon as one thing about it is', () => {
  fc.assert(
    fc.property(fileId, fc.constantFrom('dev', 'ino', 'size', 'mtime', 'ctime'), (file, key) => {
      expect(isSameFile(file, { ...file })).toBe(true);
      expect(isSameFile(file, { ...file, [key]: `${file[key]}0` })).toBe(false);
    }),
  );
});
