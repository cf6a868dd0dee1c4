import { existsSync } from 'node:fs';

import { defineConfig } from 'vitest/config';

const SERVER = 'test/**/*.server.test.ts';
const LONG = 'test/**/*.long.test.ts';
/** A file system in memory: what is synced there waits for no disk. */
const MEMORY = '/dev/shm';

/**
 * Three tiers, told apart by the names of the files: `unit` needs nothing and takes seconds; `server` starts real
 * servers, launchers and the executable; `long` takes minutes. They run in this order. It begins with 1, as vitest moves
 * what has the order 0 to the end on a machine where it would use one worker.
 */
export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        // One more than two cores: a quarter of the time a test waits for a deadline that it made short.
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [SERVER, LONG],
          maxWorkers: 3,
          // To load everything anew for each file would take a fifth of the time; it keeps no state that others see.
          isolate: false,
          // A busy machine is no failure.
          testTimeout: 20_000,
          ...(existsSync(MEMORY) && { env: { TMPDIR: MEMORY } }),
          sequence: { groupOrder: 1 },
        },
      },
      {
        // A server or two at a time: they share the machine with what they are asked.
        test: {
          name: 'server',
          include: [SERVER],
          env: { WALSEAL_TEST_SCRATCH: 'memory' },
          maxWorkers: 2,
          testTimeout: 120_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 2 },
        },
      },
      {
        test: {
          name: 'long',
          include: [LONG],
          maxWorkers: 2,
          testTimeout: 30 * 60_000,
          hookTimeout: 5 * 60_000,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
