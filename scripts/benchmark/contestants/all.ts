import { barmanCloud } from './barman.ts';
import type { Contestant } from './contestant.ts';
import { pgBackRestAsync, pgBackRestSync } from './pgbackrest.ts';
import { cp, parallelZstd } from './plain.ts';
import { walsealAlone, walsealWithAgent } from './walseal.ts';

/** In the order of the tables. */
export const CONTESTANTS: readonly Contestant[] = [
  walsealAlone,
  walsealWithAgent,
  pgBackRestSync,
  pgBackRestAsync,
  barmanCloud,
  parallelZstd,
  cp,
];
