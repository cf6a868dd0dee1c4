import type { Deadline } from '../deadline.ts';
import { codeOf } from '../../exit.ts';
import { fault } from './faults.ts';
import type { Root } from './root.ts';

/**
 * Deletes objects, one after the other. Directories stay, since a `create` may be about to use them; nothing is
 * synced, since an object that comes back after a crash does no harm.
 */
export async function deleteObjects(root: Root, keys: readonly string[], deadline: Deadline): Promise<void> {
  const before = await root.prove();
  for (const key of keys) {
    deadline.signal.throwIfAborted();
    const path = root.pathOf(key);
    try {
      await root.disk.unlink(path);
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw fault(error, `delete ${path}`);
      await root.proveAbsent(root.directoriesOf(key), before);
    }
    deadline.progress();
  }
}
