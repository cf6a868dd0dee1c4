import { describePruning } from './pruning.ts';

describePruning('directory', 18);
describePruning('directory', 13);
