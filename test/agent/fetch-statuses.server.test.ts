import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

import { generateIdentity } from '../../src/seal/keys.ts';
import { agentsOf } from '../harness/agents.ts';
import { flip, TestCluster, type SignalFile } from '../harness/cluster.ts';
import { waitFor } from '../harness/wait.ts';
import { segmentName } from './depot.ts';
import { untilListening } from './place.ts';

/** The exit table of wal-fetch holds whoever does the work: the agent, or wal-fetch alone. */

const SEGMENTS = 8;
const BEFORE = segmentName(1);
/** Not what comes next, so that it does not lie ready. */
const WANTED = segmentName(5);
const PATH = 'pg_wal/RECOVERYXLOG';

/** Does something to a cluster, and returns what undoes it. */
type Mishap = (cluster: TestCluster) => () => void;

const moved =
  (from: (cluster: TestCluster) => string): Mishap =>
  (cluster) => {
    const path = from(cluster);
    renameSync(path, join(cluster.root, 'aside'));
    return () => {
      renameSync(join(cluster.root, 'aside'), path);
    };
  };

const MISHAPS = {
  none: () => () => undefined,
  'a gap': moved((cluster) => cluster.objectPath(WANTED)),
  'a corrupt object': (cluster) => {
    const path = cluster.objectPath(WANTED);
    const at = Math.floor(readFileSync(path).length * 0.8);
    flip(path, at);
    return () => {
      flip(path, at);
    };
  },
  'a wrong prefix': moved((cluster) => join(cluster.archive, cluster.systemId)),
  'a directory in the way': (cluster) => {
    rmSync(join(cluster.dataDirectory, PATH));
    mkdirSync(join(cluster.dataDirectory, PATH, 'x'), { recursive: true });
    return () => {
      rmSync(join(cluster.dataDirectory, PATH), { recursive: true });
    };
  },
  'another key': ({ keys }) => {
    const own = readFileSync(keys.identity);
    writeFileSync(keys.identity, `${generateIdentity().identity}\n`);
    return () => {
      writeFileSync(keys.identity, own);
    };
  },
  // The last one, as a standby's agent remembers it for half a minute.
  'an archive that is away': moved(({ archive }) => archive),
} satisfies Record<string, Mishap>;

type Expected = Readonly<Record<keyof typeof MISHAPS | 'the end', number>>;

const STRICT: Expected = {
  none: 0,
  'the end': 1,
  'a gap': 207,
  'a corrupt object': 204,
  'a wrong prefix': 201,
  'a directory in the way': 206,
  'an archive that is away': 202,
  'another key': 205,
};
const STANDBY: Expected = {
  none: 0,
  'the end': 1,
  'a gap': 1,
  'a corrupt object': 65,
  'a wrong prefix': 1,
  'a directory in the way': 75,
  'an archive that is away': 69,
  'another key': 78,
};

const COLUMNS: readonly (readonly [what: string, signals: readonly SignalFile[], fetch: string, expected: Expected])[] =
  [
    ['a recovery', ['recovery.signal'], '', STRICT],
    ['a recovery that accepts losses', ['recovery.signal'], 'on_gap = "end"', { ...STRICT, 'a gap': 1 }],
    ['a recovery from a new archive', ['recovery.signal'], 'allow_empty = true', { ...STRICT, 'a wrong prefix': 1 }],
    ['a standby', ['standby.signal'], '', STANDBY],
    ['a standby that is promoted', ['standby.signal', 'promote'], '', STRICT],
    ['one that prefers the risk', ['standby.signal', 'promote'], 'on_promote = "promote"', STANDBY],
  ];

test.each(COLUMNS)('%s: the statuses with the agent and without are those of the table', async (...column) => {
  const [, signals, fetch, expected] = column;
  const cluster = new TestCluster();
  onTestFinished(() => {
    cluster.remove();
  });
  for (let number = 1; number <= SEGMENTS; number += 1) cluster.segment(segmentName(number));
  cluster.settings({ fetch: `${fetch}\n[agent]\nenabled = false` });
  for (let number = 1; number <= SEGMENTS; number += 1) {
    const name = segmentName(number);
    expect(await cluster.run('wal-push', [`pg_wal/${name}`], { launcher: 'dist' })).toMatchObject({ status: 0 });
    rmSync(cluster.walPath(name));
  }
  cluster.postmaster('ready');
  cluster.signal(...signals);
  const alone = await statuses(cluster, () => Promise.resolve());

  cluster.settings({ fetch });
  const agents = new Set<number>();
  const together = await statuses(cluster, async () => {
    agents.add(await untilListening(cluster.dataDirectory));
  });
  expect(alone).toEqual(expected);
  expect(together).toEqual(expected);
  // One did it all, until another key was there.
  expect(agents.size).toBe(2);
  rmSync(join(cluster.dataDirectory, 'postmaster.pid'));
});

/** What wal-fetch says to each mishap; `begun` is waited for before. */
async function statuses(cluster: TestCluster, begun: () => Promise<void>): Promise<Record<string, number | null>> {
  const ask = async (name: string): Promise<number | null> => {
    const { status } = await cluster.run('wal-fetch', [name, PATH], { launcher: 'dist' });
    return status;
  };
  const said: Record<string, number | null> = {};
  for (const [what, mishap] of Object.entries(MISHAPS)) {
    expect(await ask(BEFORE)).toBe(0);
    await begun();
    const undo = mishap(cluster);
    said[what] = await ask(WANTED);
    undo();
    if (what === 'another key') await waitFor('the agent to go', () => agentsOf(cluster.dataDirectory).length === 0);
    if (what === 'none') said['the end'] = await ask(segmentName(SEGMENTS + 1));
  }
  return said;
}
