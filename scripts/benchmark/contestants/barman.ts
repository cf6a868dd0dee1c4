import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

import { CHECKOUT } from '../../../test/harness/dist.ts';
import { asUser, serverUser, writeAsServer } from '../../../test/harness/server-user.ts';
import { credentialsFor } from '../storehouse.ts';
import type { Contestant } from './contestant.ts';

/** scripts/lib/peers.sh brings it. */
const PROGRAMS = join(CHECKOUT, '.cache/peers/barman/bin');
const SERVER = 'bench';

export const barmanCloud: Contestant = {
  name: 'barman-cloud',
  says: 'barman-cloud-wal-archive and -restore, zstd level 3, no encryption of its own; S3 alone',
  ahead: false,
  stores: ['s3'],
  missing: () => (canRun() ? undefined : "barman-cloud is not there, or the server's user can't run it"),
  prepare: async ({ directory, storehouse }) => {
    if (storehouse.kind !== 's3') throw new Error('barman-cloud needs a bucket');
    const authority = join(directory, 'authority.pem');
    writeAsServer(authority, storehouse.authority);
    const endpoint = `--endpoint-url https://127.0.0.1:${storehouse.port} --addressing-style path`;
    const place = `s3://${storehouse.bucket}/barman ${SERVER}`;
    return {
      archiveCommand: `${PROGRAMS}/barman-cloud-wal-archive ${endpoint} --zstd --compression-level 3 ${place} "%p"`,
      restoreCommand: `${PROGRAMS}/barman-cloud-wal-restore ${endpoint} ${place} "%f" "%p"`,
      env: {
        ...credentialsFor(storehouse),
        AWS_DEFAULT_REGION: storehouse.region,
        AWS_CA_BUNDLE: authority,
      },
    };
  },
};

function canRun(): boolean {
  const version = spawnSync(join(PROGRAMS, 'barman-cloud-wal-archive'), ['--version'], asUser(serverUser()));
  return version.status === 0;
}
