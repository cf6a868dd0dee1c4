import { createHash } from 'node:crypto';

import { build, CONTENT, NAME, SYSTEM, type Plan } from './build.ts';

/** What a reader must make of an object. */
export interface Vector {
  readonly file: string;
  readonly about: string;
  /** Whose identity file is there. */
  readonly identity: 'alice' | 'bob' | 'stranger' | 'nobody';
  /** Whose public keys are trusted; absent: signatures are not demanded. */
  readonly trusted?: readonly string[];
  readonly expected: { readonly name: string; readonly systemId: string };
  readonly outcome: 'opens' | 'invalid' | 'no-key';
  /** opens: of the file that comes out. */
  readonly content?: { readonly size: number; readonly sha256: string };
  /** Otherwise: words of the failure's fact, so that the right check says it. */
  readonly fact?: string;
}

export interface Made extends Vector {
  readonly object: Buffer;
}

export type Reader = Partial<Pick<Vector, 'identity' | 'trusted' | 'expected'>>;

const EXPECTED = { name: NAME, systemId: SYSTEM };

/** An object that a reader must open. */
export async function opens(file: string, about: string, plan: Plan, reader: Reader = {}): Promise<Made> {
  const content = plan.content ?? CONTENT;
  return {
    file: `${file}.sealed`,
    about,
    identity: plan.encrypted === false ? 'nobody' : 'alice',
    expected: EXPECTED,
    ...reader,
    outcome: 'opens',
    content: { size: content.length, sha256: createHash('sha256').update(content).digest('hex') },
    object: await build(file, plan),
  };
}

/** An object that a reader must reject. */
export async function fails(
  file: string,
  about: string,
  plan: Plan,
  outcome: 'invalid' | 'no-key',
  fact: string,
  reader: Reader = {},
): Promise<Made> {
  return made(file, about, outcome, fact, await build(file, plan), reader);
}

/** A vector whose object was made otherwise. */
export function made(
  file: string,
  about: string,
  outcome: 'invalid' | 'no-key',
  fact: string,
  object: Buffer,
  reader: Reader,
): Made {
  return { file: `${file}.sealed`, about, identity: 'alice', expected: EXPECTED, ...reader, outcome, fact, object };
}

/** What is there, as a list. */
export function some<T>(value: T | undefined): T[] {
  return value === undefined ? [] : [value];
}
