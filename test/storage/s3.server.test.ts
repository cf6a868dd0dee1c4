import { describe } from 'vitest';
import { needStore } from '../harness/need.ts';
import { describeStorage } from './conformance.ts';
import { makeS3Place, RUNTIMES } from './s3-place.ts';

describe.skipIf(needStore('minio'))('S3', () => {
  for (const [runtime, connect] of RUNTIMES) {
    describeStorage(`S3 ${runtime}`, () => makeS3Place({ conditionalCreate: 'proven' }, connect));
  }
});
