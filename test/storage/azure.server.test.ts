import { describe } from 'vitest';

import { needStore } from '../harness/need.ts';
import { makeAzurePlace } from './azure-place.ts';
import { connectInExecutable } from './bridge/executable.ts';
import { describeStorage } from './conformance.ts';

describe.skipIf(needStore('azurite'))('with Azurite', () => {
  describeStorage('azure', () => makeAzurePlace());
  describeStorage('azure, in the executable', () => makeAzurePlace(connectInExecutable));
});
