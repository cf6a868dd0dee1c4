import { connectInExecutable, connectInOwnExecutable } from './bridge/executable.ts';
import { describeStorage } from './conformance.ts';
import { FILE_LACKS, makeFilePlace } from './file-place.ts';

describeStorage(
  'file, in the executable',
  async () => {
    const place = await makeFilePlace(connectInExecutable);
    return { ...place, apart: () => connectInOwnExecutable(place.archive) };
  },
  { lacking: FILE_LACKS },
);
