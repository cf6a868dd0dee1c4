import { withLimits } from '../../src/storage/limits.ts';
import { withRetry } from '../../src/storage/retry.ts';
import { describeStorage } from './conformance.ts';
import type { MakePlace } from './contract/place.ts';
import { MemoryStorage } from './memory.ts';

/** It is one process's, and knows no credentials. */
const LACKING = ['apart', 'atPrefix', 'denied', 'digest'] as const;

const makePlace: MakePlace = () => {
  const memory = new MemoryStorage();
  const assemble = (): ReturnType<typeof withRetry> => withRetry(withLimits(memory));
  return Promise.resolve({
    storage: assemble(),
    another: () => Promise.resolve(assemble()),
    missing: () => {
      const nowhere = new MemoryStorage();
      nowhere.missing = true;
      return Promise.resolve({ storage: withRetry(withLimits(nowhere)), kind: 'configuration' });
    },
    fill: (keys) => {
      for (const key of keys) memory.objects.set(key, { bytes: Buffer.from('x'), modified: new Date() });
      return Promise.resolve();
    },
    leftovers: () => Promise.resolve([]),
    remove: () => Promise.resolve(),
  });
};

describeStorage('memory, which the other tests are built on', makePlace, { lacking: LACKING });
