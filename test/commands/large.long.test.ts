import { readFileSync } from 'node:fs';

import { describe, expect, test } from 'vitest';

import { MIB } from '../harness/cluster.ts';
import { needStore } from '../harness/need.ts';
import { CLOUDS, linesOf, makeCloudArchive, makeGsArchive } from '../harness/stores/archives.ts';
import { startFakeGcs } from '../harness/stores/fake-gcs.ts';
import { makeCluster } from './in-process.ts';
import { watched } from './watched.ts';

const NAME = '000000010000000000000001';
const MOST_MEMORY_MB = 150;

test.each(['checksum', 'readback'])(
  'a segment of 1 GB takes at most 150 MB of memory, verify = "%s"',
  async (verify) => {
    const cluster = makeCluster({ settings: { top: `verify = "${verify}"` } });
    const content = cluster.segment(NAME, { bytes: 1024 * MIB });
    const place = { cwd: cluster.dataDirectory, env: { PATH: '/usr/bin:/bin', WALSEAL_CONFIG: cluster.config } };
    const pushed = await watched(['wal-push', `pg_wal/${NAME}`], place);
    expect(pushed.status).toBe(0);
    expect(pushed.peakMb).toBeGreaterThan(20);
    expect(pushed.peakMb).toBeLessThanOrEqual(MOST_MEMORY_MB);
    const fetched = await watched(['wal-fetch', NAME, 'pg_wal/RECOVERYXLOG'], place);
    expect(fetched.status).toBe(0);
    expect(fetched.peakMb).toBeLessThanOrEqual(MOST_MEMORY_MB);
    expect(readFileSync(cluster.walPath('RECOVERYXLOG')).equals(content)).toBe(true);
  },
);

for (const cloud of ['s3', 'azure', 'gs'] as const) {
  describe.skipIf(needStore(CLOUDS[cloud]))(`${cloud}://`, () => {
    test('a segment of 1 GB takes at most 150 MB of memory', async () => {
      // In memory, fake-gcs-server holds such an object several times over.
      const isGs = cloud === 'gs';
      const archive = isGs ? await makeGsArchive(await startFakeGcs('filesystem')) : await makeCloudArchive(cloud);
      const cluster = makeCluster({ settings: { archives: [linesOf(archive.table)] } });
      const content = cluster.segment(NAME, { bytes: 1024 * MIB });
      const env = { ...archive.env, PATH: '/usr/bin:/bin', WALSEAL_CONFIG: cluster.config };
      const place = { cwd: cluster.dataDirectory, env };
      const pushed = await watched(['wal-push', `pg_wal/${NAME}`], place);
      expect(pushed.status).toBe(0);
      expect(pushed.peakMb).toBeLessThanOrEqual(MOST_MEMORY_MB);
      const fetched = await watched(['wal-fetch', NAME, 'pg_wal/RECOVERYXLOG'], place);
      expect(fetched.status).toBe(0);
      expect(fetched.peakMb).toBeLessThanOrEqual(MOST_MEMORY_MB);
      expect(readFileSync(cluster.walPath('RECOVERYXLOG')).equals(content)).toBe(true);
    });
  });
}
