import { describe, expect, it, onTestFinished } from 'vitest';

import { checkSettings } from '../../src/settings/check.ts';
import { Deadline } from '../../src/storage/deadline.ts';
import { needStore } from '../harness/need.ts';
import { proxyPage } from '../harness/net/faults.ts';
import { startRelay } from '../harness/net/relay.ts';
import { CLOUDS, makeCloudArchive, type Cloud } from '../harness/stores/archives.ts';
import { azurite } from '../harness/stores/azurite.ts';
import { fakeGcs } from '../harness/stores/fake-gcs.ts';
import { minio } from '../harness/stores/minio.ts';
import { fillBucket } from '../harness/stores/server.ts';
import { connectInExecutable } from './bridge/executable.ts';
import { keysOf } from './contract/place.ts';

const SERVERS = { s3: minio, azure: azurite, gs: fakeGcs } as const;
const KEYS = Array.from({ length: 7 }, (_, index) => `1/wal/${index}`);
/** Above what the transport itself asks again. */
const TIMES = 4;

for (const [cloud, server] of Object.entries(CLOUDS) as [Cloud, (typeof CLOUDS)[Cloud]][]) {
  describe.skipIf(needStore(server))(`a listing of ${cloud}://`, () => {
    it('goes on where a later page was not answered at first', async () => {
      const { endpoint } = await SERVERS[cloud]();
      const relay = await startRelay({ target: endpoint });
      onTestFinished(() => relay.close());
      const archive = await makeCloudArchive(cloud, relay.endpoint);
      await fillBucket(
        archive.eye,
        archive.bucket,
        KEYS.map((key) => `${archive.prefix}${key}`),
      );
      const [settings] = checkSettings('/settings', { encryption: 'none', archive: [archive.table] }).archives;
      if (settings === undefined) throw new Error('no settings');
      const storage = await connectInExecutable(settings, archive.env);
      const deadline = new Deadline(30_000, { what: 'the listing' });
      let pages = 0;
      const isLater = (): boolean => (pages += 1) > 1;
      relay.misbehave({ do: 'answer', answer: proxyPage(502) }, { when: isLater, times: TIMES });
      expect(await keysOf(storage, '1/', deadline, { limit: 3 })).toEqual(KEYS);
      expect(relay.requests.filter(({ fault }) => fault === 'answer')).toHaveLength(TIMES);
      deadline.close();
      storage.close();
    });
  });
}
