import { spawnSync } from 'node:child_process';
import { availableParallelism } from 'node:os';

import { directoryOf } from '../storehouse.ts';
import type { Contestant } from './contestant.ts';

/** What needs no archiver at all. */
export const cp: Contestant = {
  name: 'cp',
  says: 'the plain copy of the manual: no compression, no encryption, nothing synced',
  ahead: false,
  stores: ['file'],
  missing: () => undefined,
  prepare: async ({ storehouse }) => {
    const directory = directoryOf(storehouse);
    return {
      archiveCommand: `cp "%p" "${directory}/%f"`,
      restoreCommand: `cp "${directory}/%f" "%p"`,
      env: {},
    };
  },
};

/** One file: compressed, and synced. */
const PACK = 'zstd -3 -q "$2" -o "$1/$2.zst" && sync "$1/$2.zst"';

/** A lower bound for a drain: every core compresses, nobody encrypts, verifies, or waits for a server. */
export const parallelZstd: Contestant = {
  name: 'zstd',
  says: `a loop outside of the server: ${availableParallelism()} zstd -3 at a time, each file synced, no encryption`,
  ahead: false,
  stores: ['file'],
  missing: () => (works('zstd') ? undefined : 'the program zstd is not there'),
  prepare: async ({ storehouse }) => {
    const directory = directoryOf(storehouse);
    const each = `xargs -P ${availableParallelism()} -I '{}' sh -c '${PACK}' sh "$0" '{}'`;
    const names = "find archive_status -name '*.ready' -printf '%f\\n' | sort | sed 's/[.]ready$//'";
    return {
      archiveCommand: `zstd -3 -q "%p" -o "${directory}/%f.zst" && sync "${directory}/%f.zst"`,
      restoreCommand: `zstd -d -q -f "${directory}/%f.zst" -o "%p"`,
      env: {},
      loop: ['/bin/sh', '-c', `${names} | ${each}`, directory],
    };
  },
};

function works(program: string): boolean {
  return spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0;
}
