import { describe } from 'vitest';

import { needStore } from '../harness/need.ts';
import { makeAzurePlace } from './azure-place.ts';
import { connectInExecutable } from './bridge/executable.ts';
import { describeLargeObjects } from './contract/large.ts';
import { makeLargeGsPlace } from './gs-place.ts';
import { makeS3Place, RUNTIMES } from './s3-place.ts';

describe.skipIf(needStore('minio'))('S3', () => {
  for (const [runtime, connect] of RUNTIMES) {
    describeLargeObjects(`S3 ${runtime}`, () => makeS3Place({ conditionalCreate: 'proven' }, connect));
  }
});

describe.skipIf(needStore('azurite'))('Azure', () => {
  describeLargeObjects('azure', () => makeAzurePlace());
  describeLargeObjects('azure, in the executable', () => makeAzurePlace(connectInExecutable));
});

describe.skipIf(needStore('fake-gcs-server'))('Google Cloud Storage', () => {
  describeLargeObjects('gs', () => makeLargeGsPlace());
  describeLargeObjects('gs, in the executable', () => makeLargeGsPlace(connectInExecutable));
});
