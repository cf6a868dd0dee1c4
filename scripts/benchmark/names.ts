/** What tables and bounds call the circumstances of a measurement. */

export const DIRECTORY = 'directory';

/** An executable made as ours is that does nothing. */
export const EMPTY = 'empty program';

/** A bucket from which each round trip takes so much longer. */
export function bucketAt(latencyMs: number): string {
  return `MinIO, ${latencyMs} ms`;
}

/** A server with so many files that wait behind those that are archived. */
export function waiting(count: number): string {
  return `${count} waiting`;
}
