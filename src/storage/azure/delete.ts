import type { Deadline } from '../deadline.ts';
import { StorageError } from '../errors.ts';
import { Call } from './call.ts';
import type { Client } from './client.ts';
import { codeOf } from './errors.ts';

/** Requests at the same time. */
const TOGETHER = 16;

/** Deletes blobs with their snapshots, some at a time. Those under way when one fails are waited for. */
export async function deleteBlobs(client: Client, keys: readonly string[], deadline: Deadline): Promise<void> {
  const left = keys.values();
  let hasFailed = false;
  const work = async (): Promise<void> => {
    for (const key of left) {
      if (hasFailed) return;
      try {
        await deleteBlob(client, key, deadline);
      } catch (error) {
        hasFailed = true;
        throw error;
      }
      deadline.progress();
    }
  };
  const workers = Array.from({ length: Math.min(TOGETHER, keys.length) }, work);
  await Promise.allSettled(workers);
  await Promise.all(workers);
}

/** Snapshots, of which we make none, are asked for only where they are in the way: naming them costs the service a search. */
async function deleteBlob(client: Client, key: string, deadline: Deadline): Promise<void> {
  const call = new Call({ verb: 'delete', key, container: client.container }, deadline);
  try {
    await call.ask((abortSignal) => client.blob(key).delete({ abortSignal }));
  } catch (error) {
    if (call.answer !== undefined && codeOf(call.answer) === 'SnapshotsPresent') {
      await deleteWithSnapshots(client, key, deadline);
    } else if (!isAbsent(error)) throw error;
  } finally {
    call.close();
  }
}

async function deleteWithSnapshots(client: Client, key: string, deadline: Deadline): Promise<void> {
  const call = new Call({ verb: 'delete', key, container: client.container }, deadline);
  try {
    await call.ask((abortSignal) => client.blob(key).delete({ abortSignal, deleteSnapshots: 'include' }));
  } catch (error) {
    if (!isAbsent(error)) throw error;
  } finally {
    call.close();
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof StorageError && error.kind === 'absent';
}
