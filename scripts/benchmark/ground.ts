import { join } from 'node:path';

import { makeDirectory } from '../../test/harness/archiving.ts';
import { makeScratch, removeScratch } from '../../test/harness/scratch.ts';
import { serverUser } from '../../test/harness/server-user.ts';
import type { Ground } from './contestants/contestant.ts';
import { bucketAt, DIRECTORY } from './names.ts';
import { removeStorehouse, type Buckets, type Storehouse } from './storehouse.ts';

/** A kind of store, and how far it is away. */
export interface Place {
  readonly kind: Storehouse['kind'];
  readonly setting: string;
  /** Makes an empty one, which may lie in this directory. */
  readonly make: (directory: string) => Promise<Storehouse>;
}

export const IN_DIRECTORY: Place = {
  kind: 'file',
  setting: DIRECTORY,
  make: async (directory) => ({ kind: 'file', directory: makeDirectory(join(directory, 'store')) }),
};

/** A bucket, so far away. */
export function inBucket(buckets: Buckets, latencyMs: number): Place {
  return { kind: 's3', setting: bucketAt(latencyMs), make: () => buckets.make(latencyMs) };
}

/** New ground for one contestant, with an empty archive. Its data directory is not there yet. */
export async function makeGround(place: Place): Promise<Ground> {
  const directory = makeScratch('ground', serverUser());
  return { directory, dataDirectory: join(directory, 'data'), storehouse: await place.make(directory) };
}

export async function removeGround({ directory, storehouse }: Ground): Promise<void> {
  await removeStorehouse(storehouse);
  removeScratch(directory);
}
