import { connectInExecutable } from './bridge/executable.ts';
import { describeLargeObjects } from './contract/large.ts';
import { makeFilePlace } from './file-place.ts';

describeLargeObjects('file', () => makeFilePlace());
describeLargeObjects('file, in the executable', () => makeFilePlace(connectInExecutable));
