import { Failure } from '../exit.ts';
import type { Deadline } from '../storage/deadline.ts';
import { parseSystemId, type SystemId } from '../wal/control.ts';
import { parseKey } from '../wal/keys.ts';
import { asFailure, type Archive } from './archives.ts';

/** Reads a system identifier as `--system-id` and pg_controldata give it. Errors: Failure `usage`. */
export function requireSystemId(text: string): SystemId {
  const systemId = parseSystemId(text);
  if (systemId !== undefined) return systemId;
  throw new Failure('usage', `"${text}" is not a system identifier`, {
    hint: 'pg_controldata prints it as "Database system identifier": a number of up to 20 digits.',
  });
}

/**
 * The only cluster that the archives hold, for a fetch by hand without a data directory. Reads the listing until a
 * second cluster shows. Errors: Failure `usage` where there is none, or more than one.
 */
export async function onlySystem(archives: readonly Archive[], deadline: Deadline): Promise<SystemId> {
  const systems = new Set<SystemId>();
  for (const archive of archives) await collectSystems(archive, systems, deadline);
  const [only, ...others] = systems;
  if (only !== undefined && others.length === 0) return only;
  const where = archives.map((archive) => archive.storage.url).join(', ');
  if (only === undefined) {
    throw new Failure('usage', `there is no data directory here, and no cluster in ${where}`, {
      hint: 'Run it in the data directory, or name that with --pgdata, or the cluster with --system-id.',
    });
  }
  throw new Failure(
    'usage',
    `there is no data directory here, and ${where} holds several clusters: ${[...systems].join(', ')}`,
    {
      hint: 'Choose one with --system-id.',
    },
  );
}

async function collectSystems(archive: Archive, systems: Set<SystemId>, deadline: Deadline): Promise<void> {
  try {
    for await (const page of archive.storage.list('', {}, deadline)) {
      for (const { key } of page) {
        const parsed = parseKey(key);
        if (parsed !== undefined) systems.add(parsed.system);
      }
    }
  } catch (error) {
    throw asFailure(error, archive.storage.url);
  }
}
