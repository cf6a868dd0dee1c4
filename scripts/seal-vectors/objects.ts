import { heads, labels } from './heads.ts';
import { contents, payloads } from './payloads.ts';
import type { Made } from './vector.ts';
import { keysAndTrust, right } from './whole.ts';

/** All vectors, each with its object. */
export async function vectorObjects(): Promise<Made[]> {
  return Promise.all([...right(), ...keysAndTrust(), ...labels(), ...heads(), ...payloads(), ...contents()]);
}
