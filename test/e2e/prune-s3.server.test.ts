import { describePruning } from './pruning.ts';

describePruning('s3', 18);
