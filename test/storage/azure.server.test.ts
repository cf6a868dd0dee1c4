import { describe } from 'vitest';

import { needStore } from '../harness/need.ts';
import { makeAzurePlace } from './azure-place.ts';
import { describeStorage } from './conformance.ts';

describe.skipIf(needStore('azurite'))('Azure', () => {
  describeStorage('azure', () => makeAzurePlace());
});
