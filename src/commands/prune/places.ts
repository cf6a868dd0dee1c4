import type { BaseBackup } from '../../retention/base-backup.ts';

/**
 * What tells backups of one label apart: of each, so much of the end of its path as no other one of that label has.
 * Those whose label is their own are not in it.
 */
export function placesOf(backups: readonly BaseBackup[]): Map<BaseBackup, string> {
  const places = new Map<BaseBackup, string>();
  for (const alike of Map.groupBy(backups, ({ label }) => label).values()) {
    if (alike.length === 1) continue;
    for (const backup of alike) places.set(backup, ownEnd(backup.path, alike));
  }
  return places;
}

function ownEnd(path: string, alike: readonly BaseBackup[]): string {
  const parts = path.split('/');
  for (let count = 1; count < parts.length; count += 1) {
    const end = parts.slice(-count).join('/');
    if (alike.every((other) => other.path === path || !`/${other.path}`.endsWith(`/${end}`))) return end;
  }
  return path;
}
