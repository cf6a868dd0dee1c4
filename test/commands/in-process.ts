import { onTestFinished } from 'vitest';

import { run } from '../../src/commands/program.ts';
import { ABSENT, Failure, STATUS, type Column } from '../../src/exit.ts';
import { failureColumn } from '../../src/server/signals.ts';
import type { StoreSettings } from '../../src/settings/schema.ts';
import { withLimits } from '../../src/storage/limits.ts';
import { withRetry } from '../../src/storage/retry.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { TestCluster, type ClusterOptions } from '../harness/cluster.ts';

/** What the server and the operator see of a command. */
export interface Said {
  /** As the launcher says it; of a fetch in the column of the current directory: `strict`, unless a test goes elsewhere. */
  readonly status: number;
  /** The failure and its hint; empty where there is none. */
  readonly failure: string;
  readonly warnings: string;
  readonly out: string;
}

/** A cluster that goes when the test ends. */
export function makeCluster(options: ClusterOptions = {}): TestCluster {
  const cluster = new TestCluster(options);
  onTestFinished(() => {
    cluster.remove();
  });
  return cluster;
}

/** Runs a command line in this process: for what a command decides, not for how a process ends. A bug is thrown. */
export async function call(
  argv: readonly string[],
  options: { stillWanted?: () => boolean; isInterrupted?: () => boolean } = {},
): Promise<Said> {
  const out: string[] = [];
  const warnings: string[] = [];
  const said = (status: number, failure = ''): Said => ({
    status,
    failure,
    warnings: warnings.join('\n'),
    out: out.join('\n'),
  });
  const column: Column = argv[0] === 'wal-fetch' ? failureColumn('.', 'stop') : 'push';
  try {
    const outcome = await run(argv, {
      out: (line) => out.push(line),
      warn: (line) => warnings.push(line),
      progress: () => undefined,
      heedInterrupts: () => options.isInterrupted ?? (() => false),
      stillWanted: options.stillWanted ?? (() => true),
      onAbandon: () => undefined,
      endsWithin: () => undefined,
      onPromote: () => undefined,
    });
    return said(outcome === 'done' ? 0 : 1);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const status = STATUS[error.kind][column];
    return said(status === ABSENT ? 1 : status, `${error.message}\n${error.hint}`);
  }
}

export function push(cluster: TestCluster, name: string): Promise<Said> {
  return call(['wal-push', '--config', cluster.config, cluster.walPath(name)]);
}

export function setAside(cluster: TestCluster, name: string, ...options: string[]): Promise<Said> {
  return call(['set-aside', '--config', cluster.config, ...options, cluster.walPath(name)]);
}

/** Fetches to pg_wal/RECOVERYXLOG, as a recovery does. */
export function fetch(cluster: TestCluster, name: string): Promise<Said> {
  return call(['wal-fetch', '--config', cluster.config, name, cluster.walPath('RECOVERYXLOG')]);
}

const stubs = new Map<string, Storage>();

/** Has the commands of this test meet `storage` behind the URL, inside the same limits and retries as a real one. */
export function standIn(url: string, storage: Storage): void {
  stubs.set(url, storage);
  onTestFinished(() => {
    stubs.delete(url);
  });
}

/** For `vi.mock` of src/storage/connect.ts. */
export function connecting(real: (archive: StoreSettings) => Promise<Storage>) {
  return async (archive: StoreSettings): Promise<Storage> => {
    const stub = stubs.get(archive.url);
    // Retries without a pause: what is tried how often is a matter of the storage's own tests.
    return stub === undefined ? real(archive) : withRetry(withLimits(stub, { cleanUpMs: 5 }), { baseMs: 1, capMs: 1 });
  };
}
