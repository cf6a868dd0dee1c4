import type { ArchiveSettings } from '../../src/settings/schema.ts';
import { connect } from '../../src/storage/connect.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { fakeGcs, startFakeGcs, type FakeGcs } from '../harness/stores/fake-gcs.ts';
import { connectInOwnExecutable } from './bridge/executable.ts';
import type { Place } from './conformance.ts';

/** All that the settings let a prefix hold, and what URLs and queries give a meaning of their own. */
const PREFIX = "pre fix/ümlaut 🐘/a+b&c=d;e,f'g(h)!*~@:$";
/** Requests at the same time. */
const TOGETHER = 16;

/** The settings of an archive in a bucket. */
export function gsArchive(endpoint: string, bucket: string, more: Partial<ArchiveSettings> = {}): ArchiveSettings {
  return { url: `gs://${bucket}`, scheme: 'gs', required: true, mode: 'push', endpoint, ...more };
}

/** What makes a client of an archive. */
type Open = (archive: ArchiveSettings) => Promise<Storage>;

/** An archive in a new bucket of the shared server. `open` gives a client of it. */
export async function makeGsPlace(open: Open = connect): Promise<Place> {
  return placeIn(await fakeGcs(), open);
}

/** The same in a server that takes thousands of objects. */
export async function makeLargeGsPlace(open: Open = connect): Promise<Place> {
  const store = await startFakeGcs('filesystem');
  return { ...(await placeIn(store, open)), remove: () => store.server.stop() };
}

async function placeIn(store: FakeGcs, open: Open): Promise<Place> {
  const bucket = await store.makeBucket();
  const archive = gsArchive(store.endpoint, bucket, { url: `gs://${bucket}/${PREFIX}` });
  // Lies beside the archive, and is none of it.
  await store.eye.put(bucket, `${PREFIX}-other/1/wal/a`, Buffer.from('x'));
  return {
    storage: await open(archive),
    another: () => open(archive),
    missing: async () => ({ storage: await open({ ...archive, url: `gs://${bucket}-none` }), kind: 'configuration' }),
    fill: async (keys) => {
      const left = keys.values();
      const put = async (): Promise<void> => {
        for (const key of left) await store.eye.put(bucket, `${PREFIX}/${key}`, Buffer.from('x'));
      };
      await Promise.all(Array.from({ length: TOGETHER }, put));
    },
    apart: () => connectInOwnExecutable(archive),
    atPrefix: (prefix) => open({ ...archive, url: `${archive.url}/${prefix}` }),
    leftovers: () => Promise.resolve([]),
    remove: () => Promise.resolve(),
  };
}
