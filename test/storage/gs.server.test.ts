import { describe } from 'vitest';
import { needStore } from '../harness/need.ts';
import { connectInExecutable } from './bridge/executable.ts';
import { describeStorage } from './conformance.ts';
import type { SuiteOptions } from './contract/place.ts';
import { makeGsPlace, makeLargeGsPlace } from './gs-place.ts';

/** The server that stands for it asks for no credentials. */
const OPTIONS: SuiteOptions = { lacking: ['denied'] };

describe.skipIf(needStore('fake-gcs-server'))('Google Cloud Storage', () => {
  describeStorage('gs', () => makeGsPlace(), { ...OPTIONS, makeLargePlace: () => makeLargeGsPlace() });
  describeStorage('gs, in the executable', () => makeGsPlace(connectInExecutable), {
    ...OPTIONS,
    makeLargePlace: () => makeLargeGsPlace(connectInExecutable),
  });
});
