/**
 * Work that was begun before its result is needed. Whoever needs it waits for it, and is told of its failure then; where
 * something else failed before, nobody is.
 */
export function ahead<T>(work: Promise<T>): Promise<T> {
  work.catch(() => undefined);
  return work;
}
