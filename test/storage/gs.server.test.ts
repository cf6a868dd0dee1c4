import { describe } from 'vitest';
import { needStore } from '../harness/need.ts';
import { connectInExecutable } from './bridge/executable.ts';
import { describeStorage } from './conformance.ts';
import { makeGsPlace, makeLargeGsPlace } from './gs-place.ts';

describe.skipIf(needStore('fake-gcs-server'))('Google Cloud Storage', () => {
  describeStorage(
    'gs',
    () => makeGsPlace(),
    () => makeLargeGsPlace(),
  );
  describeStorage(
    'gs, in the executable',
    () => makeGsPlace(connectInExecutable),
    () => makeLargeGsPlace(connectInExecutable),
  );
});
