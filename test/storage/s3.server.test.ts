import { describe } from 'vitest';
import { needStore } from '../harness/need.ts';
import { describeStorage } from './conformance.ts';
import { makeS3Place } from './s3-place.ts';

describe.skipIf(needStore('minio'))('s3', () => {
  describeStorage('S3', () => makeS3Place({ conditionalCreate: 'proven' }));
});
