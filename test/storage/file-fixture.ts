import * as promises from 'node:fs/promises';
import { afterEach, beforeEach } from 'vitest';
import { Deadline } from '../../src/storage/deadline.ts';
import type { Disk } from '../../src/storage/file/disk.ts';
import { FileStorage } from '../../src/storage/file/storage.ts';
import type { ListOptions, Storage } from '../../src/storage/storage.ts';
import { text } from './bodies.ts';
import { fileArchive, makeFilePlace } from './file-place.ts';

/** The archive of the test that runs: a new one for each. */
export let place: Awaited<ReturnType<typeof makeFilePlace>>;
export let deadline: Deadline;

/** To be called by each file of tests: what is registered while this one is loaded, counts for the first of them only. */
export function useFilePlace(): void {
  beforeEach(async () => {
    place = await makeFilePlace();
    deadline = new Deadline(30_000, { what: 'the test' });
  });
  afterEach(async () => {
    deadline.close();
    await place.remove();
  });
}

/** The archive, on a disk of which some calls are replaced. */
export const on = (disk: Partial<Disk>): Storage =>
  new FileStorage(fileArchive(place.path).url, { mounted: false, disk: { ...promises, ...disk } });
export const failing = (code: string) => (): Promise<never> =>
  Promise.reject(Object.assign(new Error(`${code}: it is so, call '/a' -> '/b'`), { code }));
export const at = (key: string): string => `${place.path}/${key}`;
export const create = (storage: Storage, key: string, content = 'x'): Promise<void> =>
  storage.create(key, text(content), deadline);

export async function keysOf(storage: Storage, prefix: string, options: ListOptions = {}): Promise<string[]> {
  const keys: string[] = [];
  for await (const page of storage.list(prefix, options, deadline)) keys.push(...page.map(({ key }) => key));
  return keys;
}
