import { describeStorage } from './conformance.ts';
import { FILE_LACKS, makeFilePlace } from './file-place.ts';

// Writers in other processes belong to the tier that starts some: file.server.test.ts.
describeStorage('file', () => makeFilePlace(), { lacking: [...FILE_LACKS, 'apart'] });
