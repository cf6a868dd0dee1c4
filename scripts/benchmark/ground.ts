import { join } from 'node:path';

import { makeDirectory } from '../../test/harness/archiving.ts';
import { makeScratch } from '../../test/harness/scratch.ts';
import { serverUser } from '../../test/harness/server-user.ts';
import { copyCluster, type WaitingCluster } from './cluster.ts';
import type { Ground } from './contestants/contestant.ts';

/** New ground for one contestant: a copy of the cluster, and an empty archive. Whoever makes it removes its directory. */
export function makeGround(cluster: WaitingCluster): Ground {
  const directory = makeScratch('ground', serverUser());
  const dataDirectory = join(directory, 'data');
  copyCluster(cluster, dataDirectory);
  return { directory, dataDirectory, storehouse: { kind: 'file', directory: makeDirectory(join(directory, 'store')) } };
}
