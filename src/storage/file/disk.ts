import * as promises from 'node:fs/promises';

/** What this backend asks of a file system: the seam where tests put the faults of network file systems. */
export type Disk = Pick<typeof promises, 'link' | 'lstat' | 'mkdir' | 'open' | 'readdir' | 'stat' | 'unlink'>;

export const nodeDisk: Disk = promises;
