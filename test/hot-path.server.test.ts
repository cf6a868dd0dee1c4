import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';

import { describe, expect, test } from 'vitest';

import { spawnAndWait, TestCluster, type Ended } from './harness/cluster.ts';
import { CHECKOUT } from './harness/dist.ts';

const NAME = '00000001000000000000002A';
/** What a start may load in all, where no agent takes the work over; each module costs time at every WAL file. */
const MOST_SOURCES = 88;

/** Runs a command on Node, behind a stand-in for its launcher, and says which modules it loaded. */
async function modulesOf(cluster: TestCluster, args: readonly string[]): Promise<{ ended: Ended; loaded: string[] }> {
  const hook = pathToFileURL(join(CHECKOUT, 'test/harness/count-modules.mjs')).href;
  const script = 'WALSEAL_LAUNCHER=$$ "$@"; exit $?';
  const node = [process.execPath, '--import', hook, join(CHECKOUT, 'src/main.ts')];
  const ended = await spawnAndWait('/bin/sh', ['-c', script, 'sh', ...node, ...args], {
    cwd: cluster.dataDirectory,
    env: { PATH: '/usr/bin:/bin', WALSEAL_CONFIG: cluster.config },
  });
  const loaded = [...ended.stderr.matchAll(/^loaded file:\/\/(.*)$/gm)].map((match) =>
    relative(CHECKOUT, decodeURIComponent(match[1] ?? '')),
  );
  return { ended, loaded: loaded.filter((path) => !path.startsWith('test/')) };
}

/** The packages among the modules. */
function packagesOf(loaded: readonly string[]): string[] {
  const names = loaded.flatMap((path) => /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []);
  return [...new Set(names)].sort();
}

function sourcesOf(loaded: readonly string[]): string[] {
  return loaded.filter((path) => path.startsWith('src/'));
}

describe('the hot path loads only what it uses', () => {
  const cluster = new TestCluster();
  cluster.segment(NAME);
  const packages = ['fastest-levenshtein', 'smol-toml', 'valibot', 'zstd-napi'];

  test('a push', async () => {
    const { ended, loaded } = await modulesOf(cluster, ['wal-push', `pg_wal/${NAME}`]);
    expect(ended.status, ended.stderr).toBe(222);
    expect(packagesOf(loaded)).toEqual(packages);
    expect(sourcesOf(loaded).length).toBeLessThanOrEqual(MOST_SOURCES);
    for (const path of ['src/commands/fetch.ts', 'src/commands/set-aside.ts', 'src/commands/keygen.ts']) {
      expect(loaded).not.toContain(path);
    }
  });

  test('a fetch', async () => {
    const { ended, loaded } = await modulesOf(cluster, ['wal-fetch', NAME, 'pg_wal/RECOVERYXLOG']);
    expect(ended.status, ended.stderr).toBe(222);
    expect(packagesOf(loaded)).toEqual(packages);
    expect(sourcesOf(loaded).length).toBeLessThanOrEqual(MOST_SOURCES);
    for (const path of ['src/commands/push.ts', 'src/commands/set-aside.ts', 'src/commands/keygen.ts']) {
      expect(loaded).not.toContain(path);
    }
  });

  test('a question for the version', async () => {
    const { ended, loaded } = await modulesOf(cluster, ['wal-push', '--version']);
    expect(ended.status, ended.stderr).toBe(222);
    expect(packagesOf(loaded)).toEqual(['commander']);
    expect(sourcesOf(loaded)).toEqual([
      'src/main.ts',
      'src/exit.ts',
      'src/server/guard.ts',
      'src/commands/program.ts',
      'src/commands/command-line.ts',
    ]);
  });
});
