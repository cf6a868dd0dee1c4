import { describePruning } from './pruning.ts';

for (const version of [14, 15, 16, 17] as const) describePruning('directory', version);
describePruning('s3', 17);
describePruning('azure', 18);
describePruning('gs', 18);
