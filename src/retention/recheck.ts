/** What a plan stands on is looked at again before anything is deleted by it. */
import type { Deadline } from '../storage/deadline.ts';
import type { Storage } from '../storage/storage.ts';
import { parseKey, walPrefix } from '../wal/keys.ts';
import type { Inventory } from './inventory.ts';
import type { BaseBackup } from './base-backup.ts';
import { numberAt, numberBefore } from './segment-number.ts';
import { formatTimeline, toTimelineId } from '../wal/name.ts';

/**
 * Whether history files of the archive have come, gone or changed since the inventory was taken: a clause, or undefined.
 * A new timeline has a higher number than all others, so what lies behind these is listed; so are the known histories.
 * Errors: StorageError.
 */
export async function changeOfHistories(
  storage: Storage,
  { systemId, histories, timelines }: Inventory,
  deadline: Deadline,
): Promise<string | undefined> {
  const prefix = walPrefix(systemId);
  for (const { name, bytes, modifiedMs } of histories) {
    let isThere = false;
    for await (const page of storage.list(`${prefix}${name.name}`, {}, deadline)) {
      isThere ||= page.some(({ size, modified }) => size === bytes && modified.getTime() === modifiedMs);
    }
    if (!isThere) return `${name.name} is not what it was`;
  }
  const highest = Math.max(0, ...timelines.keys(), ...histories.map(({ name }) => name.timeline));
  const next = toTimelineId(highest + 1);
  if (next === undefined) return undefined;
  for await (const page of storage.list(prefix, { after: `${prefix}${formatTimeline(next)}` }, deadline)) {
    const newcomer = page.map(({ key }) => parseKey(key)).find((parsed) => parsed?.name.kind === 'history');
    if (newcomer !== undefined) return `${newcomer.name.name} is new`;
  }
  return undefined;
}

/** Whether the archive lacks some of the WAL that a backup needs to be consistent: then its own WAL matters. */
export function lacksWal({ ranges, systemId }: BaseBackup, inventory: Inventory): boolean {
  if (systemId !== undefined && systemId !== inventory.systemId) return false;
  return ranges.some(({ timeline, start, end }) => {
    const id = toTimelineId(timeline);
    const segments = id && inventory.timelines.get(id)?.segments;
    const last = numberBefore(end, inventory.segmentSize);
    return segments === undefined || segments.runEnd(numberAt(start, inventory.segmentSize)) <= last;
  });
}
