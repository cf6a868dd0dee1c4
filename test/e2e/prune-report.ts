import { expect } from 'vitest';

import { Host, type Table } from '../harness/archiving.ts';
import type { Shelf } from './backup-shelf.ts';
import type { Past } from './prune-past.ts';

/** The timelines to whose ends each backup that is kept can be brought, by the backup's name. */
export type Promises = Readonly<Record<string, readonly number[]>>;

export interface Report {
  readonly promises: Promises;
  /** What becomes of those that are not kept. */
  readonly givenUp: Readonly<Record<string, string>>;
  /** How many objects go, or went. */
  readonly count: number;
}

/** The part of what `--json` prints that is looked at here. */
interface Printed {
  readonly applied: boolean;
  readonly archives: readonly [
    {
      readonly wrong: readonly string[];
      readonly backups: readonly {
        readonly path: string;
        readonly fate: string;
        readonly windows: readonly { readonly timeline: number; readonly gap?: unknown }[];
      }[];
      readonly deletes: readonly { readonly count: number }[];
      readonly result?: { readonly status: string; readonly deleted: { readonly count: number } };
    },
  ];
}

/** Wal-prune with a policy, as an operator runs it on a host of its own. */
export class Pruner {
  readonly #host: Host;
  readonly #shelf: Shelf;

  private constructor(host: Host, shelf: Shelf) {
    this.#host = host;
    this.#shelf = shelf;
  }

  static async make({ place, shelf }: Past, policy: Table): Promise<Pruner> {
    return new Pruner(await Host.make(place.site, { ...place.options, top: { keep_wal: '0s', ...policy } }), shelf);
  }

  /** What a dry run says to people. */
  text(): Promise<string> {
    return this.#content([]);
  }

  /** What it did, or would do without `--apply`. */
  async run(...args: readonly '--apply'[]): Promise<Report> {
    const { applied, archives } = JSON.parse(await this.#content(['--json', ...args])) as Printed;
    const [{ wrong, backups, deletes, result }] = archives;
    const count = deletes.reduce((sum, stretch) => sum + stretch.count, 0);
    expect(wrong).toEqual([]);
    expect(applied).toBe(args.includes('--apply'));
    expect(result).toEqual(applied ? expect.objectContaining({ status: 'done', deleted: amount(count) }) : undefined);
    const kept = backups.filter(({ fate }) => fate === 'kept');
    const others = backups.filter(({ fate }) => fate !== 'kept');
    for (const { windows } of kept) for (const { gap } of windows) expect(gap).toBeUndefined();
    const nameOf = (path: string): string => this.#shelf.nameOf(path);
    return {
      promises: Object.fromEntries(
        kept.map(({ path, windows }) => [nameOf(path), windows.map(({ timeline }) => timeline)]),
      ),
      givenUp: Object.fromEntries(others.map(({ path, fate }) => [nameOf(path), fate])),
      count,
    };
  }

  /** Demands that nothing is wrong. */
  async #content(args: readonly string[]): Promise<string> {
    const { status, stdout, stderr } = await this.#host.run('wal-prune', args);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return stdout;
  }
}

function amount(count: number): unknown {
  return expect.objectContaining({ count });
}
