import { describeStorage } from './conformance.ts';
import { makeFilePlace } from './file-place.ts';

describeStorage('file', () => makeFilePlace());
