import { readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Where objects are kept. */
export interface Storehouse {
  readonly kind: 'file';
  readonly directory: string;
}

/** The directory of one that is a directory. */
export function directoryOf(storehouse: Storehouse): string {
  return storehouse.directory;
}

/** The names of all that lies in it. */
export async function keysOf(storehouse: Storehouse): Promise<string[]> {
  return readdirSync(storehouse.directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
