import { Failure } from '../exit.ts';

/** An object, or the file that is to become one, is not what it claims to be. */
export function invalid(fact: string, options: { hint?: string; cause?: unknown } = {}): Failure {
  return new Failure('invalid', fact, options);
}
