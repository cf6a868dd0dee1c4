import { connectInExecutable } from './bridge/executable.ts';
import { describeStorage } from './conformance.ts';
import { makeFilePlace } from './file-place.ts';

describeStorage('file, in the executable', () => makeFilePlace(connectInExecutable));
