import { describe } from 'vitest';
import { needStore } from '../harness/need.ts';
import { describeStorage } from './conformance.ts';
import { makeGsPlace, makeLargeGsPlace } from './gs-place.ts';

describe.skipIf(needStore('fake-gcs-server'))('Google Cloud Storage', () => {
  describeStorage(
    'gs',
    () => makeGsPlace(),
    () => makeLargeGsPlace(),
  );
});
